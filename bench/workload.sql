-- The workload of the benchmark: an application's database of which a plain dump is about 1 GB at scale 1. Tables are of very different
-- kinds: wide JSON, random tokens, short appended rows, rows of numbers. Deterministic.
--
--   psql -X -v ON_ERROR_STOP=1 -v scale=1 -d DATABASE -f workload.sql
\set QUIET on
begin;
create function dice(row_number bigint, salt bigint) returns integer language sql immutable parallel safe
  as $$ select hashint8(row_number * 1000003 + salt) & 1048575 $$;

create table users (id bigint primary key, email text not null, name text not null, password_hash text not null, created_at timestamptz not null,
  last_login_at timestamptz, login_count integer not null, profile jsonb not null) with (fillfactor = 95);
insert into users
select i, 'user' || i || '@' || substr(md5(i::text), 1, 12) || '.example', initcap(substr(md5((i * 7)::text), 1, 7) || ' ' || substr(md5((i * 11)::text), 1, 9)),
  encode(sha256(convert_to(i || 'p', 'UTF8')), 'hex'), timestamptz '2023-01-01 00:00+00' + i * interval '37 s', timestamptz '2026-01-01 00:00+00' + dice(i, 1) * interval '20 s', dice(i, 2) % 50,
  jsonb_build_object('city', (array['São Paulo', 'Lisboa', 'Recife', 'Porto', 'Curitiba', 'Belém'])[1 + dice(i, 3) % 6], 'zodiac', dice(i, 4) % 12, 'newsletter', dice(i, 5) % 3 = 0, 'theme', (array['light', 'dark', 'auto'])[1 + dice(i, 6) % 3])
from generate_series(1, (460000 * :scale)::bigint) i;

create table birth_charts (id bigint primary key, user_id bigint not null, born_at timestamptz not null, latitude numeric(9, 6), longitude numeric(9, 6), chart jsonb not null, reading text);
insert into birth_charts
select i, 1 + dice(i, 10) % (460000 * :scale)::bigint, timestamptz '1950-01-01 00:00+00' + dice(i, 11) * interval '35 min', (dice(i, 12) % 90000) / 1000.0, (dice(i, 13) % 180000) / 1000.0,
  (select jsonb_object_agg(body, jsonb_build_object('sign', dice(i, 20 + n) % 12, 'degree', round(dice(i, 40 + n) / 34952.5, 5), 'house', 1 + dice(i, 60 + n) % 12, 'speed', round(dice(i, 80 + n) / 99999.0, 4)))
    from unnest(array['sun', 'moon', 'mercury', 'venus', 'mars', 'jupiter', 'saturn', 'uranus', 'neptune', 'pluto', 'node', 'chiron']) with ordinality as bodies (body, n)),
  (select string_agg((array['the Moon in conversation with Saturn asks for patience', 'a fiery opposition', 'Venus softens what Mars has sharpened', 'the ascendant ruler in the twelfth house',
      'a year of slow building', 'Mercury retrograde over the natal Sun', 'an angular Jupiter', 'the nodes return'])[1 + dice(i, 100 + k) % 8], '; ') from generate_series(1, 30) k)
from generate_series(1, (170000 * :scale)::bigint) i;

create table oauth_connections (id bigint primary key, user_id bigint not null, provider text not null, subject text not null, access_token text not null, refresh_token text, expires_at timestamptz);
insert into oauth_connections
select i, 1 + dice(i, 200) % (460000 * :scale)::bigint, (array['google', 'github', 'facebook'])[1 + dice(i, 201) % 3], md5(i || 's'), encode(sha256(convert_to(i || 'a', 'UTF8')), 'base64') || md5(i || 'b'),
  encode(sha256(convert_to(i || 'r', 'UTF8')), 'base64'), timestamptz '2026-11-01 00:00+00' + dice(i, 202) * interval '3 s'
from generate_series(1, (280000 * :scale)::bigint) i;

create table audit_logs (id bigint primary key, user_id bigint, at timestamptz not null, action text not null, payload json not null);
insert into audit_logs
select i, 1 + dice(i, 300) % (460000 * :scale)::bigint, timestamptz '2025-01-01 00:00+00' + i * interval '53 s', (array['login', 'logout', 'view', 'edit', 'pay', 'export', 'consent'])[1 + dice(i, 301) % 7],
  json_build_object('ip', '203.0.113.' || dice(i, 302) % 256, 'agent', (array['Mozilla/5.0 (X11; Linux x86_64)', 'Mozilla/5.0 (iPhone; CPU OS 18)', 'okhttp/4.12'])[1 + dice(i, 303) % 3], 'request', md5(i || 'q'), 'ms', dice(i, 304) % 900)
from generate_series(1, (1540000 * :scale)::bigint) i;

create table order_items (id bigint primary key, order_id bigint not null, quantity integer, n1 numeric, n2 numeric, n3 numeric, n4 numeric, n5 numeric, n6 numeric, n7 numeric, n8 numeric,
  d1 double precision, d2 double precision, d3 double precision, at date, state text);
insert into order_items
select i, i / 3, 1 + dice(i, 400) % 9, dice(i, 401) / 100.0, dice(i, 402) / 1000.0, dice(i, 403) % 1000, dice(i, 404) / 10.0, dice(i, 405), dice(i, 406) / 100.0, dice(i, 407) % 100, dice(i, 408) / 10000.0,
  dice(i, 409) / 7.0, dice(i, 410) / 1048576.0, dice(i, 411) * 3.0, date '2024-01-01' + dice(i, 412) % 900, (array['open', 'paid', 'sent', 'returned'])[1 + dice(i, 413) % 4]
from generate_series(1, (1820000 * :scale)::bigint) i;

create table settings (key text primary key, value jsonb not null);
insert into settings select 'setting.' || i, jsonb_build_object('v', i) from generate_series(1, 400) i;
commit;
vacuum analyze;
