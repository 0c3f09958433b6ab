// The short story in the calls of swagger-typescript-api.

import { Api, HttpResponse, Problem, TodoItem } from "./swagger_typescript_api_sdk";

const { lists, todos } = new Api({ baseUrl: process.argv[2] });

async function main(): Promise<void> {
  const milk = { task: "Buy milk", notes: "Two litres", due_on: "2026-12-24", tags: ["shop"] };
  for (const each of [milk, { task: "Walk the dog" }, { task: "Read" }]) {
    console.log(`created #${(await todos.createTodo(each)).data.id}`);
  }
  const created_after = new Date(Date.now() - 3_600_000).toISOString();
  show("filtered", (await todos.listTodos({ tag: ["shop"], complete: false, created_after })).data);
  const first = await todos.listTodos({ limit: 2 });
  show("page", first.data);
  const last = await todos.listTodos({ cursor: first.headers.get("X-Next-Cursor") ?? "" });
  show("page", last.data);
  console.log(`last page: ${!last.headers.has("X-Next-Cursor")}`);

  const changed = (await todos.patchTodo(1, { due_on: null })).data;
  console.log(`never due: v${changed.version}, ${changed.notes}, ${changed.due_on === null}, ${changed.tags[0]}`);
  const done = { complete: true };
  await refused("stale", todos.patchTodo(1, done, {}, { headers: { "If-Match": '"1"' } }));
  await refused("too many", todos.patchTodos(done, { complete: false, max_affected: 1 }));
  await refused("wrong", todos.listTodos({ due_before: "24/12/2026" }));
  const list_id = (await lists.createList({ name: "Groceries" })).data.id;
  await todos.patchTodo(1, { list_id });
  const below = (await todos.createTodo({ task: "Semi-skimmed", parent_id: 1 })).data;
  console.log(`subtask: #${below.id} in list ${below.list_id} below ${below.parent_id}`);
  await refused("not empty", lists.deleteList(list_id));
  const once = () => todos.createTodo({ task: "Water it" }, {}, { headers: { "Idempotency-Key": "key-1" } });
  show("once:", [(await once()).data, (await once()).data]);
}

function show(step: string, found: TodoItem[]): void {
  console.log([step, ...found.map(({ id }) => `#${id}`)].join(" "));
}

async function refused(step: string, call: Promise<unknown>): Promise<void> {
  const answer = await call.then(
    () => Promise.reject(new Error(`${step} was not refused`)),
    (thrown: HttpResponse<unknown, Problem>) => thrown,
  );
  // It does not read the body where a success has none.
  const problem = answer.error ?? ((await answer.json()) as Problem);
  console.log(`${step}: ${answer.status} ${problem.detail}`);
}

void main();
