-- Pairs of rows of texts(row, text) whose sets of word 5-grams have a Jaccard similarity of at least
-- $threshold: the plain way, without signatures. A text of fewer words has one gram of them all.
with words as (
    select
        row,
        list_filter(string_split_regex(lower(text), '[^\p{L}\p{N}\p{M}]+'), lambda w: w <> '') as w
    from texts
),
grams as (
    select row, hash(a, b, c, d, e) as gram
    from (
        select
            row,
            unnest(w) as a,
            unnest(w[2:]) as b,
            unnest(w[3:]) as c,
            unnest(w[4:]) as d,
            unnest(w[5:]) as e
        from words
    )
    where e is not null
    union all
    select row, hash(w)
    from words
    where len(w) between 1 and 4
),
sets as (
    select distinct row, gram
    from grams
),
sizes as (
    select row, count(*) as size
    from sets
    group by row
),
shared as (
    select a.row as left_row, b.row as right_row, count(*) as shared
    from sets as a
    inner join sets as b on a.gram = b.gram and a.row < b.row
    group by all
)
select left_row, right_row, shared / (l.size + r.size - shared) as similarity
from shared
inner join sizes as l on left_row = l.row
inner join sizes as r on right_row = r.row
where similarity >= $threshold
order by all
