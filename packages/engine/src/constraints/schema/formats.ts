const hour = '(?:[01]\\d|2[0-3])';
const minute = '[0-5]\\d';
/** No leap second, which most readers refuse. */
const time = `${hour}:${minute}:${minute}(?:\\.\\d{1,6})?(?:Z|[+-]${hour}:${minute})`;
/** Without 29 February, which only some years have. */
const date = '\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const label = '[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?';
const group = '[0-9a-f]{1,4}';

/**
 * A regular expression for each `format` of JSON Schema that strings can be held to. Each is as wide as can be said shortly, and no
 * wider than its standard: RFC 3339 (dates and times), 5321 (mail), 1123 (hosts), 2673, 4291 (addresses), 9562 (UUID).
 */
export const formatPatterns: Readonly<Record<string, string>> = {
  date: `^${date}$`,
  time: `^${time}$`,
  'date-time': `^${date}T${time}$`,
  duration:
    '^P(?:\\d{1,4}W|(?:\\d{1,4}Y)?(?:\\d{1,2}M)?\\d{1,3}D(?:T\\d{1,2}H(?:\\d{1,2}M(?:\\d{1,2}S)?)?)?|T(?:\\d{1,4}H(?:\\d{1,2}M(?:\\d{1,2}S)?)?|\\d{1,4}M(?:\\d{1,2}S)?|\\d{1,5}S))$',
  email: `^[a-z0-9_+-]{1,32}(?:\\.[a-z0-9_+-]{1,16})?@${label}(?:\\.${label}){1,2}$`,
  hostname: `^${label}(?:\\.${label}){0,3}$`,
  ipv4: `^(?:${octet}\\.){3}${octet}$`,
  ipv6: `^(?:${group}:){7}${group}$`,
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
};
