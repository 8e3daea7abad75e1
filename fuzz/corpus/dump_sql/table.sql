-- The synthetic database behind the archives in this folder.
CREATE SCHEMA "odd ""schema"". x";
CREATE TABLE public.users (id integer PRIMARY KEY, name text, note text, doubled integer GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO public.users SELECT i, 'user ' || i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN E'tab\there\\n \\. \\N' ELSE '' END FROM generate_series(1, 20) AS i;
CREATE TABLE public.nothing ();
INSERT INTO public.nothing DEFAULT VALUES;
INSERT INTO public.nothing DEFAULT VALUES;
CREATE TABLE public.empty_one (a integer);
CREATE TABLE "odd ""schema"". x"."a
b;) FROM stdin;" ("e-mail" text, "línea
dos" text);
INSERT INTO "odd ""schema"". x"."a
b;) FROM stdin;" VALUES (E'x\ny', '\.'), ('\N', NULL);
CREATE TABLE public.events (id serial, day date NOT NULL, body text) PARTITION BY RANGE (day);
CREATE TABLE public.events_2025 PARTITION OF public.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO public.events (day, body) SELECT date '2025-12-30' + i, 'body ' || i FROM generate_series(1, 4) AS i;
CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) AS users FROM public.users;
SELECT lo_from_bytea(70001, convert_to(repeat('large object ', 200), 'UTF8')), lo_from_bytea(70002, ''), lo_from_bytea(4000000000, '\x00ff0a5c2e0a');
