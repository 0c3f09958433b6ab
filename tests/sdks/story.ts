// What every TypeScript client does.

interface Todo {
  id: number;
  task: string;
  complete: boolean;
  due_on: string | null;
  due_at: string | null;
  tags: string[];
  list_id: number | null;
  parent_id: number | null;
  version: number;
}

interface TodoList {
  id: number;
  name: string;
  version: number;
}

interface Affected {
  matched: number;
  changed: number;
}

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: { pointer: string }[];
}

interface Answer<T> {
  data?: T;
  error?: Problem;
  response: Response;
}

/** A generated client, in the few words that the story needs. */
export interface Sdk {
  create(task: string): Promise<Answer<Todo>>;
  list(query: { limit?: number; cursor?: string; ids?: number[]; sort?: string }): Promise<Answer<Todo[]>>;
  get(id: number): Promise<Answer<Todo>>;
  put(id: number, task: string, ifMatch: string): Promise<Answer<Todo>>;
  patch(id: number, complete: boolean): Promise<Answer<Todo>>;
  delete(id: number, ifMatch?: string): Promise<Answer<void>>;
  createDated(task: string, due_on: string, tags: string[]): Promise<Answer<Todo>>;
  setDueAt(id: number, due_at: string | null): Promise<Answer<Todo>>;
  moveToTop(id: number): Promise<Answer<Todo>>;
  completeMany(ids: number[]): Promise<Answer<Affected>>;
  createList(name: string): Promise<Answer<TodoList>>;
  setList(id: number, list_id: number): Promise<Answer<Todo>>;
  createBelow(task: string, parent_id: number): Promise<Answer<Todo>>;
  deleteList(id: number): Promise<Answer<void>>;
  createOnce(task: string, key: string): Promise<Answer<Todo>>;
}

export async function tell(sdk: Sdk): Promise<void> {
  for (const task of ["Buy milk", "Walk the dog", "Read a book"]) {
    show("create", await sdk.create(task));
  }
  const cursor = show("list", await sdk.list({ limit: 2 })).get("x-next-cursor");
  check(cursor);
  check(!show("list", await sdk.list({ cursor })).has("x-next-cursor"));
  show("list of 1 and 3", await sdk.list({ ids: [1, 3] }));
  const stale = show("get", await sdk.get(1)).get("etag");
  const fresh = show("patch", await sdk.patch(1, true)).get("etag");
  check(stale && fresh);
  show("stale put", await sdk.put(1, "Buy bread", stale));
  show("put", await sdk.put(1, "Buy bread", fresh));
  show("stale delete", await sdk.delete(1, stale));
  show("delete", await sdk.delete(1));
  show("get", await sdk.get(1));
  show("dated", await sdk.createDated("Wrap it", "2026-12-24", ["red", "blue", "green"]));
  show("due at", await sdk.setDueAt(4, "2026-12-24T18:30:00+01:00"));
  show("never due", await sdk.setDueAt(4, null));
  show("move", await sdk.moveToTop(4));
  show("in order", await sdk.list({ sort: "position" }));
  show("complete many", await sdk.completeMany([2, 3, 4]));
  show("make list", await sdk.createList("Groceries"));
  show("into list", await sdk.setList(4, 1));
  show("subtask", await sdk.createBelow("Fold it", 4));
  show("not empty", await sdk.deleteList(1));
  show("once", await sdk.createOnce("Water it", "key-1"));
  check(show("again", await sdk.createOnce("Water it", "key-1")).get("idempotency-replayed") === "true");
  show("create", await sdk.create(""));
}

type Content = Todo | Todo[] | TodoList | Affected | void;

function show(step: string, answer: Answer<Content>): Headers {
  console.log(`${step}: ${answer.response.status}${words(answer)}`);
  return answer.response.headers;
}

function words({ data, error, response }: Answer<Content>): string {
  if (error) {
    check(error.status === response.status);
    const pointers = (error.errors ?? []).map(({ pointer }) => ` (${pointer})`);
    return ` ${error.type}, ${error.title}: ${error.detail}${pointers.join("")}`;
  }
  if (Array.isArray(data)) {
    return data.map(({ id }) => ` #${id}`).join("");
  }
  if (response.status === 204 || !data) {
    return "";
  }
  if ("matched" in data) {
    return ` ${data.matched} matched, ${data.changed} changed`;
  }
  check(response.headers.get("etag") === `"${data.version}"`);
  if ("name" in data) {
    return ` #${data.id} v${data.version} ${data.name}`;
  }
  const place = [data.list_id && `in list ${data.list_id}`, data.parent_id && `below ${data.parent_id}`];
  const dueAt = data.due_at && new Date(data.due_at).toISOString().replace(".000Z", "Z");
  const members = [data.task, data.complete ? "done" : "open", data.due_on, dueAt, data.tags.join(" "), ...place];
  return ` #${data.id} v${data.version} ${members.filter(Boolean).join(", ")}`;
}

function check(holds: unknown): asserts holds {
  if (!holds) {
    throw new Error("an answer is not what the story needs");
  }
}
