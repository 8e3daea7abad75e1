-- One line for every table, for the large objects and for the sequences of a database: name, rows, digest.
-- The digest is a sum of row hashes, so it depends on every value of every row and not on their order. Fields are separated by tabs.
--
--   psql -XAtq -F "$(printf '\t')" -d DATABASE -f digest.sql
set datestyle = 'ISO';
set intervalstyle = 'postgres';
set timezone = 'UTC';
set extra_float_digits = 3;
set bytea_output = 'hex';
set row_security = off;
set statement_timeout = 0;
select format('select %L, count(*), coalesce(sum(hashtextextended(the_row::text, 42)::numeric), 0) from only %I.%I the_row',
    replace(n.nspname || '.' || c.relname, E'\n', '\n'), n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  order by n.nspname collate "C", c.relname collate "C" \gexec
select 'large objects', count(*), coalesce(sum(hashtextextended(oid || encode(lo_get(oid), 'hex'), 42)::numeric), 0) from pg_largeobject_metadata;
select 'sequences', count(*), coalesce(sum(hashtextextended(schemaname || '.' || sequencename || coalesce(last_value, -1), 42)::numeric), 0) from pg_sequences;
