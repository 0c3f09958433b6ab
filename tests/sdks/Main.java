import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.TodosApi;
import org.openapitools.client.model.CreateTodoItem;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.TodoItem;
import org.openapitools.client.model.UpdateTodoItem;

/** The story in the calls of openapi-generator's `java`, on the HTTP client of the JDK. */
public class Main {
    private static final Pattern NEXT = Pattern.compile("[?&]cursor=([^&>]*)[^>]*>; rel=\"next\"");
    private static final ApiClient CLIENT = new ApiClient();

    private interface Call {
        ApiResponse<?> make() throws ApiException;
    }

    public static void main(String[] arguments) throws Exception {
        CLIENT.updateBaseUri(arguments[0]);
        TodosApi todos = new TodosApi(CLIENT);

        for (String task : List.of("Buy milk", "Walk the dog", "Read a book")) {
            show("create", () -> todos.createTodoWithHttpInfo(new CreateTodoItem().task(task)));
        }
        Matcher next = NEXT.matcher(show("list", () -> page(todos, 2, null, null)).get("link"));
        check(next.find());
        String cursor = next.group(1);
        check(!show("list", () -> page(todos, 2, cursor, null)).getOrDefault("link", "").contains("next"));
        show("list of 1 and 3", () -> page(todos, null, null, List.of(1L, 3L)));
        Long id = 1L;
        String stale = show("get", () -> todos.getTodoWithHttpInfo(id, null)).get("etag");
        UpdateTodoItem done = new UpdateTodoItem().complete(true);
        String fresh = show("patch", () -> todos.patchTodoWithHttpInfo(id, done, null)).get("etag");
        UpdateTodoItem bread = new UpdateTodoItem().task("Buy bread");
        show("stale put", () -> todos.updateTodoWithHttpInfo(id, bread, stale));
        show("put", () -> todos.updateTodoWithHttpInfo(id, bread, fresh));
        show("stale delete", () -> todos.deleteTodoWithHttpInfo(id, stale));
        show("delete", () -> todos.deleteTodoWithHttpInfo(id, null));
        show("get", () -> todos.getTodoWithHttpInfo(id, null));
        show("create", () -> todos.createTodoWithHttpInfo(new CreateTodoItem().task("")));
    }

    private static ApiResponse<List<TodoItem>> page(TodosApi todos, Integer limit, String cursor, List<Long> ids)
            throws ApiException {
        return todos.listTodosWithHttpInfo(limit, cursor, null, null, null, ids, null);
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
            String state = todo.getComplete() ? "done" : "open";
            return " #" + todo.getId() + " v" + todo.getVersion() + " " + todo.getTask() + ", " + state;
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
