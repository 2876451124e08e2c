/** Every update of the audit as a row, those of a run too: a relation for the FROM of a query. */
export const AUDITED_UPDATES = `(
  SELECT record_id, xid, at, sequence, update_id FROM events
  UNION ALL
  SELECT record_id, xid, at, sequence - json_array_length(earlier) + place::int - 1, step ->> 6
  FROM events, json_array_elements(earlier) WITH ORDINALITY AS s (step, place)
) AS audited`
