import com.fasterxml.jackson.annotation.JsonInclude;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.ListsApi;
import org.openapitools.client.api.ListsApi.APIDeleteListRequest;
import org.openapitools.client.api.TodosApi;
import org.openapitools.client.api.TodosApi.APIListTodosRequest;
import org.openapitools.client.api.ManyTodosApi;
import org.openapitools.client.api.ManyTodosApi.APIPatchTodosRequest;
import org.openapitools.client.model.Affected;
import org.openapitools.client.model.CreateTodoItem;
import org.openapitools.client.model.CreateTodoList;
import org.openapitools.client.model.Move;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.TodoItem;
import org.openapitools.client.model.TodoList;
import org.openapitools.client.model.UpdateTodoItem;

/** The story in the calls of openapi-generator's `java`, on the HTTP client of the JDK. */
public class Main {
    private static final ApiClient CLIENT = new ApiClient();

    /** Absent and null are the same to the models, and neither is sent; this is how Jackson is told to send null. */
    private static class NeverDue extends UpdateTodoItem {
        @Override
        @JsonInclude(JsonInclude.Include.ALWAYS)
        public OffsetDateTime getDueAt() {
            return null;
        }
    }

    private interface Call {
        ApiResponse<?> make() throws ApiException;
    }

    public static void main(String[] arguments) throws Exception {
        CLIENT.updateBaseUri(arguments[0]);
        TodosApi todos = new TodosApi(CLIENT);
        ManyTodosApi many = new ManyTodosApi(CLIENT);
        ListsApi lists = new ListsApi(CLIENT);

        for (String task : List.of("Buy milk", "Walk the dog", "Read a book")) {
            show("create", () -> todos.createTodoWithHttpInfo(new CreateTodoItem().task(task), null, null));
        }
        APIListTodosRequest.Builder page = APIListTodosRequest.newBuilder().limit(2);
        String cursor = show("list", () -> todos.listTodosWithHttpInfo(page.build())).get("x-next-cursor");
        APIListTodosRequest rest = APIListTodosRequest.newBuilder().cursor(cursor).build();
        check(!show("list", () -> todos.listTodosWithHttpInfo(rest)).containsKey("x-next-cursor"));
        APIListTodosRequest oneAndThree = APIListTodosRequest.newBuilder().ids(List.of(1L, 3L)).build();
        show("list of 1 and 3", () -> todos.listTodosWithHttpInfo(oneAndThree));
        Long id = 1L;
        String stale = show("get", () -> todos.getTodoWithHttpInfo(id, null)).get("etag");
        UpdateTodoItem done = new UpdateTodoItem().complete(true);
        String fresh = show("patch", () -> todos.patchTodoWithHttpInfo(id, done, null, null, null)).get("etag");
        UpdateTodoItem bread = new UpdateTodoItem().task("Buy bread");
        show("stale put", () -> todos.updateTodoWithHttpInfo(id, bread, stale, null, null));
        show("put", () -> todos.updateTodoWithHttpInfo(id, bread, fresh, null, null));
        show("stale delete", () -> todos.deleteTodoWithHttpInfo(id, stale, null, null));
        show("delete", () -> todos.deleteTodoWithHttpInfo(id, null, null, null));
        show("get", () -> todos.getTodoWithHttpInfo(id, null));
        CreateTodoItem dated = new CreateTodoItem().task("Wrap it").dueOn(LocalDate.of(2026, 12, 24))
            .tags(new LinkedHashSet<>(List.of("red", "blue", "green")));
        show("dated", () -> todos.createTodoWithHttpInfo(dated, null, null));
        UpdateTodoItem evening = new UpdateTodoItem().dueAt(OffsetDateTime.parse("2026-12-24T18:30:00+01:00"));
        show("due at", () -> todos.patchTodoWithHttpInfo(4L, evening, null, null, null));
        show("never due", () -> todos.patchTodoWithHttpInfo(4L, new NeverDue(), null, null, null));
        show("move", () -> todos.moveTodoWithHttpInfo(4L, new Move().to(Move.ToEnum.TOP), null, null, null));
        APIListTodosRequest inOrder = APIListTodosRequest.newBuilder().sort("position").build();
        show("in order", () -> todos.listTodosWithHttpInfo(inOrder));
        APIPatchTodosRequest completeMany =
            APIPatchTodosRequest.newBuilder().ids(List.of(2L, 3L, 4L)).updateTodoItem(done).build();
        show("complete many", () -> many.patchTodosWithHttpInfo(completeMany));
        show("make list", () -> lists.createListWithHttpInfo(new CreateTodoList().name("Groceries"), null, null));
        UpdateTodoItem intoList = new UpdateTodoItem().listId(1L);
        show("into list", () -> todos.patchTodoWithHttpInfo(4L, intoList, null, null, null));
        CreateTodoItem below = new CreateTodoItem().task("Fold it").parentId(4L);
        show("subtask", () -> todos.createTodoWithHttpInfo(below, null, null));
        show("not empty", () -> lists.deleteListWithHttpInfo(APIDeleteListRequest.newBuilder().listId(1L).build()));
        CreateTodoItem water = new CreateTodoItem().task("Water it");
        show("once", () -> todos.createTodoWithHttpInfo(water, null, "key-1"));
        Map<String, String> again = show("again", () -> todos.createTodoWithHttpInfo(water, null, "key-1"));
        check(again.get("idempotency-replayed").equals("true"));
        show("create", () -> todos.createTodoWithHttpInfo(new CreateTodoItem().task(""), null, null));
    }

    /** Prints the answer of a call; its headers. */
    private static Map<String, String> show(String step, Call call) throws Exception {
        try {
            ApiResponse<?> answer = call.make();
            Map<String, String> headers = first(answer.getHeaders());
            System.out.println(step + ": " + answer.getStatusCode() + words(answer.getData(), headers.get("etag")));
            return headers;
        } catch (ApiException error) {
            // The client of the JDK leaves the body to its user, the model of it is generated.
            Problem problem = CLIENT.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
            check(problem.getStatus() == error.getCode());
            System.out.println(step + ": " + error.getCode() + words(problem));
            return first(error.getResponseHeaders().map());
        }
    }

    private static String words(Object content, String etag) {
        if (content instanceof TodoItem todo) {
            check(etag.equals("\"" + todo.getVersion() + "\""));
            List<String> members = new ArrayList<>(List.of(todo.getTask(), todo.getComplete() ? "done" : "open"));
            if (todo.getDueOn() != null) {
                members.add(todo.getDueOn().toString());
            }
            if (todo.getDueAt() != null) {
                members.add(todo.getDueAt().toInstant().toString());
            }
            if (!todo.getTags().isEmpty()) {
                members.add(String.join(" ", todo.getTags()));
            }
            if (todo.getListId() != null) {
                members.add("in list " + todo.getListId());
            }
            if (todo.getParentId() != null) {
                members.add("below " + todo.getParentId());
            }
            return " #" + todo.getId() + " v" + todo.getVersion() + " " + String.join(", ", members);
        }
        if (content instanceof TodoList list) {
            return " #" + list.getId() + " v" + list.getVersion() + " " + list.getName();
        }
        if (content instanceof Affected affected) {
            return " " + affected.getMatched() + " matched, " + affected.getChanged() + " changed";
        }
        if (content instanceof List<?> todos) {
            return todos.stream().map(todo -> " #" + ((TodoItem) todo).getId()).collect(Collectors.joining());
        }
        check(content == null);
        return "";
    }

    private static String words(Problem problem) {
        String pointers = problem.getErrors() == null ? "" : problem.getErrors().stream()
            .map(error -> " (" + error.getPointer() + ")").collect(Collectors.joining());
        return " " + problem.getType() + ", " + problem.getTitle() + ": " + problem.getDetail() + pointers;
    }

    private static Map<String, String> first(Map<String, List<String>> headers) {
        return headers.entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, header -> header.getValue().get(0)));
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new AssertionError();
        }
    }
}
