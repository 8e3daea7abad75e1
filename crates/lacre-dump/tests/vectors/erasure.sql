-- A schema with everything that makes it hard to find a person's rows. Account (1, 42) is the person; nobody here exists.
CREATE EXTENSION citext;
CREATE SCHEMA "Odd ""S""";
CREATE TYPE public.mood AS ENUM ('ok', 'sad');
CREATE DOMAIN public.cpf AS text CHECK (value ~ '^\d{11}$');

CREATE TABLE public.accounts (
  tenant integer NOT NULL, id bigint NOT NULL, email citext NOT NULL UNIQUE, name text, cpf public.cpf, tags text[], mood public.mood,
  referrer_tenant integer, referrer bigint,
  search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(name, ''))) STORED,
  PRIMARY KEY (tenant, id),
  FOREIGN KEY (referrer_tenant, referrer) REFERENCES public.accounts ON DELETE SET NULL (referrer)
);
INSERT INTO public.accounts VALUES (0, 0, 'nobody@x.example', 'Nobody');
INSERT INTO public.accounts (tenant, id, email, name, cpf, tags, mood, referrer_tenant, referrer)
  SELECT t, i, 'P' || t || '.' || i || '@Mail.example', E'Name\twith tab ' || i, lpad(i::text, 11, '0'), ARRAY['a,b', 'NULL', E'\\'], 'ok',
    t, CASE WHEN i > 1 THEN i / 2 END
  FROM generate_series(1, 2) t, generate_series(1, 300) i ORDER BY t, i;

CREATE TABLE public.orders (
  id bigint NOT NULL, at date NOT NULL, note text, account bigint, tenant integer NOT NULL, PRIMARY KEY (id, at),
  FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE
) PARTITION BY RANGE (at);
CREATE TABLE public.orders_old PARTITION OF public.orders FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE public.orders_new PARTITION OF public.orders FOR VALUES FROM ('2025-01-01') TO ('2030-01-01') PARTITION BY HASH (id);
CREATE TABLE public.orders_new_a (tenant integer NOT NULL, at date NOT NULL, id bigint NOT NULL, account bigint, note text);
ALTER TABLE public.orders_new ATTACH PARTITION public.orders_new_a FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.orders_new_b PARTITION OF public.orders_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.orders SELECT i, date '2023-01-01' + i % 1500, E'line one\nline\\two ' || i, 1 + i % 300, 1 + i / 300 % 2 FROM generate_series(1, 4000) i;

CREATE TABLE "Odd ""S"""."Order Items" (
  "Item Id" bigint PRIMARY KEY, "select" text, order_id bigint NOT NULL, order_at date NOT NULL, "parent ""item""" bigint,
  FOREIGN KEY (order_at, order_id) REFERENCES public.orders (at, id) ON DELETE CASCADE,
  FOREIGN KEY ("parent ""item""") REFERENCES "Odd ""S"""."Order Items" ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
-- Every item hangs below the next but one, so that chains run against the order of the rows and across orders.
INSERT INTO "Odd ""S"""."Order Items"
  SELECT i, repeat('x', i % 50), o.id, o.at, CASE WHEN i % 7 > 0 AND i <= 7990 THEN i + 1 END
  FROM generate_series(1, 8000) i JOIN public.orders o ON o.id = 1 + i / 2 % 4000;

-- A circle: a project has a current phase, a phase belongs to a project.
CREATE TABLE public.projects (id integer PRIMARY KEY, owner bigint, owner_tenant integer, phase integer);
CREATE TABLE public.phases (id integer PRIMARY KEY, project integer NOT NULL REFERENCES public.projects ON DELETE CASCADE, next integer);
ALTER TABLE public.projects ADD FOREIGN KEY (phase) REFERENCES public.phases ON DELETE SET NULL;
ALTER TABLE public.projects ADD FOREIGN KEY (owner_tenant, owner) REFERENCES public.accounts MATCH FULL ON DELETE CASCADE;
ALTER TABLE public.phases ADD FOREIGN KEY (next) REFERENCES public.phases ON DELETE CASCADE;
INSERT INTO public.projects SELECT i, 1 + i % 60, 1, NULL FROM generate_series(1, 500) i;
INSERT INTO public.phases SELECT i, 1 + i % 500, NULL FROM generate_series(1, 1500) i;
UPDATE public.projects SET phase = 1 + (id * 7) % 1500;
UPDATE public.phases SET next = 1 + (id * 11) % 1500 WHERE id % 5 = 0;
VACUUM FULL public.projects;

-- Heirs have the columns and not the foreign keys.
CREATE TABLE public.people (tenant integer, account bigint, phone text, FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE);
CREATE TABLE public.staff (badge uuid DEFAULT gen_random_uuid()) INHERITS (public.people);
CREATE TABLE public.managers () INHERITS (public.staff);
INSERT INTO public.people SELECT 1 + i / 300 % 2, 1 + i % 300, '+55 11 ' || i FROM generate_series(1, 600) i;
INSERT INTO public.staff SELECT 1 + i / 300 % 2, 1 + i % 300, '+55 21 ' || i FROM generate_series(1, 600) i;
INSERT INTO public.managers SELECT 1, 40 + i, '+55 31 ' || i FROM generate_series(1, 5) i;

CREATE TABLE public.comments (id serial PRIMARY KEY, about_kind text NOT NULL, about_id bigint NOT NULL, tenant integer NOT NULL, body text);
INSERT INTO public.comments (about_kind, about_id, tenant, body)
  SELECT (ARRAY['account', 'order', E'a\tb'])[1 + i % 3], 1 + i % 300, 1 + i / 300 % 2, 'body ' || i FROM generate_series(1, 3000) i;

CREATE TABLE public.events (id serial PRIMARY KEY, payload jsonb, raw json);
INSERT INTO public.events (payload, raw)
  SELECT jsonb_build_object('actor', jsonb_build_object('tenant', 1 + i / 300 % 2, 'id', 1 + i % 300), 'email', 'p@x', 'quo"te', E'a\tb\\c',
      'names', jsonb_build_array('x', jsonb_build_object('name', 'n' || i, 'keep', 1))),
    CASE WHEN i % 4 > 0 THEN ('{ "user" : "' || (CASE WHEN i % 300 = 41 THEN '\u0034\u0032' ELSE (1 + i % 300)::text END) || '", "secret":"s" , "z":[ ] }')::json END
  FROM generate_series(1, 3000) i;
INSERT INTO public.events (payload, raw) VALUES (NULL, NULL), ('[1, 2]', '"42"'), ('{"actor": 42}', '{}');

CREATE TABLE public.audit (id integer PRIMARY KEY, tenant integer DEFAULT 0, account bigint DEFAULT '0'::bigint, what text,
  FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE SET DEFAULT);
INSERT INTO public.audit SELECT i, 1, 1 + i % 300, 'x' FROM generate_series(1, 900) i;

CREATE TABLE public.invoices (id integer PRIMARY KEY, tenant integer NOT NULL, account bigint, holder text, FOREIGN KEY (tenant, account) REFERENCES public.accounts);
INSERT INTO public.invoices SELECT i, 1, 1 + i % 300, 'Holder ' || i FROM generate_series(1, 900) i;

CREATE TABLE public.devices (id uuid PRIMARY KEY, tenant integer, account bigint, FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE);
CREATE TABLE public.pings (device uuid REFERENCES public.devices ON DELETE SET NULL, at timestamptz);
INSERT INTO public.devices SELECT md5(i::text)::uuid, 1, 1 + i % 300 FROM generate_series(1, 600) i;
INSERT INTO public.pings SELECT md5((1 + i % 600)::text)::uuid, '2026-01-01 00:00+00' FROM generate_series(1, 3000) i;

CREATE TABLE public.newsletter (mail text, since date);
INSERT INTO public.newsletter SELECT lower(email), '2026-01-01' FROM public.accounts WHERE id % 2 = 0;
INSERT INTO public.newsletter VALUES ('P1.42@mail.EXAMPLE', NULL), (NULL, NULL), ('', NULL);

-- Values that are the same and do not look it.
CREATE TABLE public.prices (k numeric PRIMARY KEY, tenant integer, account bigint, FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE);
CREATE TABLE public.price_uses (k numeric REFERENCES public.prices ON DELETE CASCADE, n integer);
INSERT INTO public.prices SELECT i / 4.0, 1, 1 + i % 300 FROM generate_series(1, 600) i;
INSERT INTO public.price_uses SELECT (i / 4.0)::numeric(10, 5), i FROM generate_series(1, 600) i;
CREATE TABLE public.codes (code citext PRIMARY KEY, tenant integer, account bigint, FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE);
CREATE TABLE public.code_uses (code citext REFERENCES public.codes ON DELETE CASCADE, n integer);
INSERT INTO public.codes SELECT 'Ção-' || i, 1, 1 + i % 300 FROM generate_series(1, 600) i;
INSERT INTO public.code_uses SELECT 'çÃO-' || i, i FROM generate_series(1, 600) i;

-- Long rows, with what decides behind what is long.
CREATE TABLE public.scans (body text, tail jsonb, tenant integer, account bigint, FOREIGN KEY (tenant, account) REFERENCES public.accounts ON DELETE CASCADE);
INSERT INTO public.scans SELECT repeat(E'tab\t back\\slash ' || i, 20000 * (i % 3)), jsonb_build_object('n', i), 1, 36 + i FROM generate_series(1, 12) i;
CREATE TABLE public.notes (body text, tail jsonb, tenant integer, account bigint);
INSERT INTO public.notes SELECT repeat(E'tab\t back\\slash ' || i, 20000 * (i % 3)), jsonb_build_object('n', i, 'text', repeat('é', 1000 * i)), 1, 36 + i FROM generate_series(1, 12) i;

CREATE TABLE public.unrelated (id integer, tenant integer, account bigint);
INSERT INTO public.unrelated SELECT i, 1, 42 FROM generate_series(1, 100) i;
