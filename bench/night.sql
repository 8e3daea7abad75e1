-- One day of the workload: 0.5 % of the rows of every large table updated at random places, 0.1 % deleted, 0.5 % added, 1 % of the log
-- appended. Deterministic; vacuum on some days moves rows, as it does in life.
--
--   psql -X -v ON_ERROR_STOP=1 -v day=2 -d DATABASE -f night.sql
\set QUIET on
begin;
select count(*) as users, max(id) as user_max from users \gset
select count(*) as charts, max(id) as chart_max from birth_charts \gset
select count(*) as tokens, max(id) as token_max from oauth_connections \gset
select count(*) as logs, max(id) as log_max from audit_logs \gset
select count(*) as items, max(id) as item_max from order_items \gset

update users set last_login_at = timestamptz '2026-11-01 03:00+00' + :day * interval '1 day', login_count = login_count + 1 where dice(id, 1000 + :day) % 1024 < 5;
update birth_charts set reading = 'revised on day ' || :day || ': ' || reading where dice(id, 1100 + :day) % 1024 < 5;
update oauth_connections set access_token = encode(sha256(convert_to(access_token || :day, 'UTF8')), 'base64') || md5(id || 'b'), expires_at = expires_at + interval '1 day' where dice(id, 1200 + :day) % 1024 < 5;
update order_items set state = 'paid', n1 = n1 + 1 where dice(id, 1300 + :day) % 1024 < 5;
delete from users where dice(id, 1400 + :day) % 1024 = 7;
delete from birth_charts where dice(id, 1500 + :day) % 1024 = 7;
delete from oauth_connections where dice(id, 1600 + :day) % 1024 = 7;
delete from order_items where dice(id, 1700 + :day) % 1024 = 7;

insert into users
select i, 'user' || i || '@' || substr(md5(i::text), 1, 12) || '.example', initcap(substr(md5((i * 7)::text), 1, 7)), encode(sha256(convert_to(i || 'p', 'UTF8')), 'hex'), timestamptz '2026-11-01 00:00+00' + :day * interval '1 day' + (i - :user_max) * interval '37 s', null, 0, '{"zodiac": 1}'
from generate_series(:user_max + 1, :user_max + :users / 200) i;
insert into birth_charts
select :chart_max + row_number() over (order by id), user_id, born_at + interval '1 day', longitude / 2, latitude, chart, 'new on day ' || :day || ': ' || reading
from birth_charts where dice(id, 1800 + :day) % 1024 < 5;
insert into oauth_connections
select i, 1 + dice(i, 200) % :users, 'google', md5(i || 's'), encode(sha256(convert_to(i || 'a', 'UTF8')), 'base64') || md5(i || 'b'), null, timestamptz '2026-12-01 00:00+00'
from generate_series(:token_max + 1, :token_max + :tokens / 200) i;
insert into audit_logs
select i, 1 + dice(i, 300) % :users, timestamptz '2026-11-01 00:00+00' + :day * interval '1 day' + (i - :log_max) * interval '7 s', 'login', json_build_object('ip', '203.0.113.' || dice(i, 302) % 256, 'request', md5(i || 'q'), 'ms', dice(i, 304) % 900)
from generate_series(:log_max + 1, :log_max + :logs / 100) i;
insert into order_items
select i, i / 3, 1 + dice(i, 400) % 9, dice(i, 401) / 100.0, dice(i, 402) / 1000.0, dice(i, 403) % 1000, dice(i, 404) / 10.0, dice(i, 405), dice(i, 406) / 100.0, dice(i, 407) % 100, dice(i, 408) / 10000.0,
  dice(i, 409) / 7.0, dice(i, 410) / 1048576.0, dice(i, 411) * 3.0, date '2026-11-01' + :day, 'open'
from generate_series(:item_max + 1, :item_max + :items / 200) i;
commit;
select :day in (3, 6) as vacuum_all, :day = 5 as vacuum_some \gset
\if :vacuum_all
vacuum;
\elif :vacuum_some
vacuum users;
\endif
