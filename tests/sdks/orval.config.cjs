// Generates a client by fetch, and validators by zod.
module.exports = {
  fetch: { input: "openapi.json", output: { target: "orval_fetch.ts", client: "fetch" } },
  zod: { input: "openapi.json", output: { target: "orval_zod.ts", client: "zod" } },
};
