-- The same for people: texts, addresses and times as they are written.
CREATE VIEW records AS
SELECT r.sequence,
       strftime('%Y-%m-%dT%H:%M:%S', (r.time) / 1000000, 'unixepoch') || printf('.%06dZ', (r.time) % 1000000) AS time,
       (SELECT text FROM name WHERE id = r.type) AS type,
       iif(r.session IS NULL, NULL, printf('%016x', r.session)) AS session,
       (SELECT text FROM name WHERE id = r.user) AS user,
       (SELECT text FROM name WHERE id = r.app) AS app,
       (SELECT text FROM name WHERE id = r.policies) AS policies,
       r.alert,
       CASE typeof(r.client)
           WHEN 'integer' THEN (r.client >> 24) || '.' || (r.client >> 16 & 255) || '.' || (r.client >> 8 & 255) || '.' || (r.client & 255)
           WHEN 'blob' THEN lower(substr(hex(r.client), 1, 4)) || ':' || lower(substr(hex(r.client), 5, 4)) || ':' || lower(substr(hex(r.client), 9, 4)) || ':' || lower(substr(hex(r.client), 13, 4)) || ':' || lower(substr(hex(r.client), 17, 4)) || ':' || lower(substr(hex(r.client), 21, 4)) || ':' || lower(substr(hex(r.client), 25, 4)) || ':' || lower(substr(hex(r.client), 29, 4)) END AS client,
       r.client_port,
       CASE typeof(r.destination)
           WHEN 'integer' THEN (r.destination >> 24) || '.' || (r.destination >> 16 & 255) || '.' || (r.destination >> 8 & 255) || '.' || (r.destination & 255)
           WHEN 'blob' THEN lower(substr(hex(r.destination), 1, 4)) || ':' || lower(substr(hex(r.destination), 5, 4)) || ':' || lower(substr(hex(r.destination), 9, 4)) || ':' || lower(substr(hex(r.destination), 13, 4)) || ':' || lower(substr(hex(r.destination), 17, 4)) || ':' || lower(substr(hex(r.destination), 21, 4)) || ':' || lower(substr(hex(r.destination), 25, 4)) || ':' || lower(substr(hex(r.destination), 29, 4)) END AS destination,
       r.port,
       r.protocol,
       (SELECT text FROM name WHERE id = r.opened_by) AS opened_by,
       (SELECT text FROM name WHERE id = r.direction) AS direction,
       (SELECT text FROM name WHERE id = r.interface) AS interface,
       (SELECT text FROM name WHERE id = r.zone) AS zone,
       (SELECT text FROM name WHERE id = r.outcome) AS outcome,
       (SELECT text FROM name WHERE id = r.tcp) AS tcp,
       (SELECT text FROM name WHERE id = r.reason) AS reason,
       strftime('%Y-%m-%dT%H:%M:%S', (r.time - r.first_before) / 1000000, 'unixepoch') || printf('.%06dZ', (r.time - r.first_before) % 1000000) AS first,
       strftime('%Y-%m-%dT%H:%M:%S', (r.time - r.last_before) / 1000000, 'unixepoch') || printf('.%06dZ', (r.time - r.last_before) % 1000000) AS last,
       r.to_app_packets,
       r.to_app_bytes,
       r.to_client_packets,
       r.to_client_bytes,
       r.packets,
       r.answered,
       r.observed,
       r.incomplete,
       iif(r.mac IS NULL, NULL, printf('%012x', r.mac)) AS mac,
       r.generation,
       (SELECT text FROM name WHERE id = r.action) AS action,
       r.line
FROM record AS r;
