// The story in the calls of openapi-fetch, on the types that openapi-typescript generates.

import createClient from "openapi-fetch";
import type { paths } from "./schema";
import { tell } from "./story";

const client = createClient<paths>({ baseUrl: process.argv[2] });

const at = (todo_id: number) => ({ path: { todo_id } });

void tell({
  create: (task) => client.POST("/todos", { body: { task } }),
  createOnce: (task, key) =>
    client.POST("/todos", { params: { header: { "Idempotency-Key": key } }, body: { task } }),
  list: (query) => client.GET("/todos", { params: { query } }),
  get: (id) => client.GET("/todos/{todo_id}", { params: at(id) }),
  put: (id, task, ifMatch) =>
    client.PUT("/todos/{todo_id}", { params: { ...at(id), header: { "If-Match": ifMatch } }, body: { task } }),
  patch: (id, complete) => client.PATCH("/todos/{todo_id}", { params: at(id), body: { complete } }),
  delete: (id, ifMatch) =>
    client.DELETE("/todos/{todo_id}", { params: { ...at(id), header: { "If-Match": ifMatch } } }),
  createDated: (task, due_on, tags) => client.POST("/todos", { body: { task, due_on, tags } }),
  setDueAt: (id, due_at) => client.PATCH("/todos/{todo_id}", { params: at(id), body: { due_at } }),
  moveToTop: (id) => client.POST("/todos/{todo_id}/move", { params: at(id), body: { to: "top" } }),
  completeMany: (ids) => client.PATCH("/todos", { params: { query: { ids } }, body: { complete: true } }),
  createList: (name) => client.POST("/lists", { body: { name } }),
  setList: (id, list_id) => client.PATCH("/todos/{todo_id}", { params: at(id), body: { list_id } }),
  createBelow: (task, parent_id) => client.POST("/todos", { body: { task, parent_id } }),
  deleteList: (list_id) => client.DELETE("/lists/{list_id}", { params: { path: { list_id } } }),
});
