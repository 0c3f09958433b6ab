// The story in the calls of the SDK that @hey-api/openapi-ts generates.

import { createList, createTodo, deleteList, deleteTodo, getTodo, listTodos } from "./hey_api_sdk";
import { moveTodo, patchTodo, patchTodos, updateTodo } from "./hey_api_sdk";
import { client } from "./hey_api_sdk/client.gen";
import { tell } from "./story";

client.setConfig({ baseUrl: process.argv[2] });

const at = (todo_id: number) => ({ path: { todo_id } });

void tell({
  create: (task) => createTodo({ body: { task } }),
  createOnce: (task, key) => createTodo({ headers: { "Idempotency-Key": key }, body: { task } }),
  list: (query) => listTodos({ query }),
  get: (id) => getTodo(at(id)),
  put: (id, task, ifMatch) => updateTodo({ ...at(id), headers: { "If-Match": ifMatch }, body: { task } }),
  patch: (id, complete) => patchTodo({ ...at(id), body: { complete } }),
  delete: (id, ifMatch) => deleteTodo({ ...at(id), headers: { "If-Match": ifMatch } }),
  createDated: (task, due_on, tags) => createTodo({ body: { task, due_on, tags } }),
  setDueAt: (id, due_at) => patchTodo({ ...at(id), body: { due_at } }),
  moveToTop: (id) => moveTodo({ ...at(id), body: { to: "top" } }),
  completeMany: (ids) => patchTodos({ query: { ids }, body: { complete: true } }),
  createList: (name) => createList({ body: { name } }),
  setList: (id, list_id) => patchTodo({ ...at(id), body: { list_id } }),
  createBelow: (task, parent_id) => createTodo({ body: { task, parent_id } }),
  deleteList: (list_id) => deleteList({ path: { list_id } }),
});
