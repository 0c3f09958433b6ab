<?php
// The short story in the calls of openapi-generator's `php`.

use OpenAPI\Client\Api\ListsApi;
use OpenAPI\Client\Api\ManyTodosApi;
use OpenAPI\Client\Api\TodosApi;
use OpenAPI\Client\ApiException;
use OpenAPI\Client\Configuration;
use OpenAPI\Client\Model\CreateTodoItem;
use OpenAPI\Client\Model\CreateTodoList;
use OpenAPI\Client\Model\Problem;
use OpenAPI\Client\Model\UpdateTodoItem;
use OpenAPI\Client\ObjectSerializer;

error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/GuzzleHttp/autoload.php';
spl_autoload_register(function ($class) {
    $file = __DIR__ . '/lib/' . str_replace(['OpenAPI\\Client\\', '\\'], ['', '/'], $class) . '.php';
    if (is_file($file)) {
        require $file;
    }
});

$configuration = (new Configuration())->setHost($argv[1]);
$todos = new TodosApi(null, $configuration);
$many = new ManyTodosApi(null, $configuration);
$lists = new ListsApi(null, $configuration);

function show(string $step, array $found): void
{
    echo $step, implode('', array_map(fn ($each) => " #{$each->getId()}", $found)), "\n";
}

function refused(string $step, callable $call): void
{
    try {
        $call();
        echo "$step was not refused\n";
    } catch (ApiException $error) {
        $problem = ObjectSerializer::deserialize(json_decode($error->getResponseBody()), Problem::class);
        echo "$step: {$error->getCode()} {$problem->getDetail()}\n";
    }
}

$milk = ['task' => 'Buy milk', 'notes' => 'Two litres', 'due_on' => new DateTime('2026-12-24'), 'tags' => ['shop']];
foreach ([$milk, ['task' => 'Walk the dog'], ['task' => 'Read']] as $each) {
    echo "created #{$todos->createTodo(new CreateTodoItem($each))->getId()}\n";
}
// The generator has no way to write a DateTime into a query.
$hourAgo = date(DATE_ATOM, time() - 3600);
show('filtered', $todos->listTodos(tag: ['shop'], complete: false, created_after: $hourAgo));
[$page, , $headers] = $todos->listTodosWithHttpInfo(limit: 2);
show('page', $page);
[$page, , $headers] = $todos->listTodosWithHttpInfo(cursor: $headers['x-next-cursor'][0]);
show('page', $page);
echo 'last page: ', var_export(!isset($headers['x-next-cursor']), true), "\n";

$changed = $todos->patchTodo(1, new UpdateTodoItem(['due_on' => null]));
$isNull = var_export($changed->getDueOn() === null, true);
echo "never due: v{$changed->getVersion()}, {$changed->getNotes()}, $isNull, {$changed->getTags()[0]}\n";
$done = new UpdateTodoItem(['complete' => true]);
refused('stale', fn () => $todos->patchTodo(1, $done, '"1"'));
refused('too many', fn () => $many->patchTodos($done, complete: false, max_affected: 1));
refused('wrong', fn () => $todos->listTodos(due_before: '24/12/2026'));
$listId = $lists->createList(new CreateTodoList(['name' => 'Groceries']))->getId();
$todos->patchTodo(1, new UpdateTodoItem(['list_id' => $listId]));
$below = $todos->createTodo(new CreateTodoItem(['task' => 'Semi-skimmed', 'parent_id' => 1]));
echo "subtask: #{$below->getId()} in list {$below->getListId()} below {$below->getParentId()}\n";
refused('not empty', fn () => $lists->deleteList($listId));
$water = new CreateTodoItem(['task' => 'Water it']);
$made = [$todos->createTodo($water, idempotency_key: 'key-1'), $todos->createTodo($water, idempotency_key: 'key-1')];
show('once:', $made);
