-- One day of use: logins (which write audit rows through a trigger), new accounts and charts, edits, deletions by two people.
-- Deterministic: the same day on the same rows always gives the same rows.
--
--   psql -X -v ON_ERROR_STOP=1 -v day=1 -d DATABASE -f day.sql
\set QUIET on
set client_min_messages = warning;
begin;
select count(*) as accounts, max(id) as last_id from app.users \gset

update app.users set last_login_at = timestamptz '2026-11-20 06:00+00' + :day * interval '1 day' + app.dice(id, 900 + :day) * interval '60 ms',
  login_count = login_count + 1
where app.dice(id, 100 + :day) % 1000 < 20;
update app.birth_charts set reading = 'Revista no dia ' || :day || ': ' || app.full_name(id) where app.dice(id, 200 + :day) % 1000 < 5;
update app.oauth_connections set access_token = sha256(access_token), expires_at = expires_at + interval '1 day' where app.dice(user_id, 300 + :day) % 100 = 0;
delete from app.users where app.dice(id, 400 + :day) % 1000 = 0;
delete from app.sessions where app.dice(user_id, 500 + :day) % 20 = 0;

insert into app.users (email, name, cpf, password_hash, created_at)
select 'user' || i || '.' || substr(md5(i::text), 1, 6) || '@mail.example', app.full_name(i), app.synthetic_cpf(i),
  encode(sha256(convert_to('password ' || i, 'UTF8')), 'hex'), timestamptz '2026-11-20 00:00+00' + :day * interval '1 day' + (i - :last_id) * interval '1 s'
from generate_series(:last_id + 1, :last_id + 1 + :accounts / 200) i;
insert into app.birth_charts (user_id, label, born_at, place, houses, chart)
select id, 'Mapa natal', timestamptz '1980-01-01 00:00+00' + app.dice(id, 12) * interval '10 min', row(-23.55, -46.63)::app.coordinates, 'placidus',
  jsonb_build_object('sun', jsonb_build_object('sign', 'leo', 'degree', app.dice(id, 41) % 30))
from app.users where id > :last_id;
insert into app.audit_logs (at, user_id, action, payload)
select timestamptz '2026-11-20 00:00+00' + :day * interval '1 day' + i * interval '1 s', 1 + app.dice(i, 600 + :day) % :accounts, 'login',
  jsonb_build_object('address', '203.0.113.' || app.dice(i, 601) % 256, 'request', md5('day ' || :day || ' request ' || i))
from generate_series(1, greatest(20, :accounts / 12)) i;
insert into app.settings values ('day', to_jsonb(:day::integer), 'the last day that was played') on conflict (key) do update set value = excluded.value;
refresh materialized view app.signs;
commit;
