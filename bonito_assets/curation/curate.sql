-- One row of curated_tasks per row of tasks, in the order of tasks.
-- Reads the relations tasks and generations; the first reason that applies stands.
with judged as (
    select
        t.corpus,
        t.generation_id,
        t.chunk_id,
        t.doc_id,
        t.task_type,
        t.input,
        t.output,
        t.label,
        g.mean_logprob,
        length(t.input)  as input_chars,
        length(t.output) as output_chars,
        t.place,
        t.rejected_because as reason,
        -- Case and runs of whitespace do not make two rows different.
        lower(regexp_replace(t.input,  '\s+', ' ', 'g')) as same_input,
        lower(regexp_replace(t.output, '\s+', ' ', 'g')) as same_output
    from tasks t
    join generations g using (generation_id)
),
-- Of equal rows the one that the model was surest of is kept, then the first.
kept as (
    select
        generation_id,
        first_value(generation_id) over (
            partition by same_input, same_output
            order by mean_logprob desc nulls last, place
        ) as best
    from judged
    where reason is null
)
select
    j.corpus,
    j.generation_id,
    j.chunk_id,
    j.doc_id,
    j.task_type,
    j.input,
    j.output,
    j.label,
    j.mean_logprob,
    j.input_chars,
    j.output_chars,
    case when k.best <> j.generation_id then k.best end as duplicate_of,
    coalesce(j.reason, case when k.best <> j.generation_id then 'exact_duplicate' end) as rejected_because
from judged j
left join kept k using (generation_id)
order by j.place
