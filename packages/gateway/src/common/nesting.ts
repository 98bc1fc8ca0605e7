/** More is no request of anybody's; a schema of ours may be 256 deep. */
export const nestingMax = 1000;

const quote = 0x22;
const backslash = 0x5c;
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Whether JSON is nested more than `nestingMax` deep. `JSON.parse` takes any depth, but `JSON.stringify` and whatever else calls itself
 * runs out of stack somewhere beyond, long after the request was let in: where another server's request is written, say, and it must
 * not look as if that server had failed.
 */
export function isNestedTooDeeply(json: string): boolean {
  // Nearly every body ends here: what is short, or has few brackets, cannot be deep.
  if (json.length <= 2 * nestingMax || !hasManyBrackets(json)) return false;
  let depth = 0;
  for (let index = 0; index < json.length; index += 1) {
    const code = json.charCodeAt(index);
    if (code === quote) {
      index = endOfString(json, index);
    } else if (code === openArray || code === openObject) {
      depth += 1;
      if (depth > nestingMax) return true;
    } else if (code === closeArray || code === closeObject) {
      depth -= 1;
    }
  }
  return false;
}

function hasManyBrackets(json: string): boolean {
  let count = 0;
  for (const bracket of ['[', '{']) {
    for (let at = json.indexOf(bracket); at !== -1; at = json.indexOf(bracket, at + 1)) if ((count += 1) > nestingMax) return true;
  }
  return false;
}

/** Of the string that begins here; one without an end, which is no JSON, ends with the text. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let slashes = 0;
    while (json.charCodeAt(end - 1 - slashes) === backslash) slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return json.length;
}
