/**
 * Loaded into Portkey's gateway by `--import`. That program changes the headers of what `fetch` returned, which are immutable,
 * and so fails every stream ("TypeError: immutable"); with a copy of the response it streams. The copy costs it little.
 */
const { fetch } = globalThis;

globalThis.fetch = async (...args) => {
  const response = await fetch(...args);
  return new Response(response.body, response);
};
