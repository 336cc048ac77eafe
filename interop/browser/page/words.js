// Words as they go over the wire: names in destinations, free text in headers, ids.

/** Where a room's messages go. */
export const roomDestination = room => `/topic/chat.${room}`;

/** Where messages for one user go; he reads them at /user/queue/private. */
export const userDestination = user => `/user/${user.replaceAll('%', '%25').replaceAll('/', '%2F')}/queue/private`;

/**
 * Free text as a header's value. STOMP has escapes for newline, colon and backslash, but stompjs reads `\\n` (a backslash before an n) as a
 * newline, and trims values; so backslashes, per cents and outer blanks are written as %XX.
 */
export const toHeader = text => text.replace(/[%\\\0]|^\s|\s$/g, found => encodeURIComponent(found));

/** The free text of a header's value; one that is not ours is taken as it is. */
export const fromHeader = value => {
  try {
    return decodeURIComponent(value.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'));
  } catch {
    return value;
  }
};

/** An id that nobody else has; crypto.randomUUID is only there on https and loopback. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), byte => byte.toString(16).padStart(2, '0')).join('');

/** The first letter of a name, as a reader sees letters. */
export const initial = name => [...new Intl.Segmenter().segment(name.toUpperCase())][0]?.segment ?? '?';

/** One of a few colours, always the same for a name. */
export const colour = name => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 8, 0);
