// The short story in the calls of openapi-generator's `go`.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	todo "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func main() {
	configuration := todo.NewConfiguration()
	configuration.Servers = todo.ServerConfigurations{{URL: os.Args[1]}}
	client := todo.NewAPIClient(configuration)
	todos, background := client.TodosAPI, context.Background()

	milk := todo.NewCreateTodoItem("Buy milk")
	milk.SetNotes("Two litres")
	milk.SetDueOn("2026-12-24")
	milk.SetTags([]string{"shop"})
	for _, each := range []*todo.CreateTodoItem{milk, todo.NewCreateTodoItem("Walk the dog"), todo.NewCreateTodoItem("Read")} {
		created, _, err := todos.CreateTodo(background).CreateTodoItem(*each).Execute()
		check(err)
		fmt.Printf("created #%d\n", created.Id)
	}
	hourAgo := time.Now().Add(-time.Hour)
	found, _, err := todos.ListTodos(background).Tag([]string{"shop"}).Complete(false).CreatedAfter(hourAgo).Execute()
	show("filtered", found, err)
	page, answer, err := todos.ListTodos(background).Limit(2).Execute()
	show("page", page, err)
	page, answer, err = todos.ListTodos(background).Cursor(answer.Header.Get("X-Next-Cursor")).Execute()
	show("page", page, err)
	fmt.Printf("last page: %t\n", answer.Header.Get("X-Next-Cursor") == "")

	var neverDue todo.UpdateTodoItem
	neverDue.SetDueOnNil()
	changed, _, err := todos.PatchTodo(background, 1).UpdateTodoItem(neverDue).Execute()
	check(err)
	fmt.Printf("never due: v%d, %s, %t, %s\n", changed.Version, changed.GetNotes(), !changed.DueOn.IsSet() || changed.DueOn.Get() == nil, changed.Tags[0])

	var done todo.UpdateTodoItem
	done.SetComplete(true)
	_, answer, err = todos.PatchTodo(background, 1).UpdateTodoItem(done).IfMatch(`"1"`).Execute()
	refused("stale", answer, err)
	_, answer, err = client.ManyTodosAPI.PatchTodos(background).Complete(false).MaxAffected(1).UpdateTodoItem(done).Execute()
	refused("too many", answer, err)
	_, answer, err = todos.ListTodos(background).DueBefore("24/12/2026").Execute()
	refused("wrong", answer, err)

	list, _, err := client.ListsAPI.CreateList(background).CreateTodoList(*todo.NewCreateTodoList("Groceries")).Execute()
	check(err)
	var intoList todo.UpdateTodoItem
	intoList.SetListId(list.Id)
	_, _, err = todos.PatchTodo(background, 1).UpdateTodoItem(intoList).Execute()
	check(err)
	below := todo.NewCreateTodoItem("Semi-skimmed")
	below.SetParentId(1)
	made, _, err := todos.CreateTodo(background).CreateTodoItem(*below).Execute()
	check(err)
	fmt.Printf("subtask: #%d in list %d below %d\n", made.Id, made.GetListId(), made.GetParentId())
	answer, err = client.ListsAPI.DeleteList(background, list.Id).Execute()
	refused("not empty", answer, err)
	fmt.Print("once:")
	for range [2]int{} {
		made, _, err = todos.CreateTodo(background).CreateTodoItem(*todo.NewCreateTodoItem("Water it")).IdempotencyKey("key-1").Execute()
		check(err)
		fmt.Printf(" #%d", made.Id)
	}
	fmt.Println()
}

func show(step string, found []todo.TodoItem, err error) {
	check(err)
	fmt.Print(step)
	for _, each := range found {
		fmt.Printf(" #%d", each.Id)
	}
	fmt.Println()
}

func refused(step string, answer *http.Response, err error) {
	var problem todo.Problem
	check(json.Unmarshal(err.(*todo.GenericOpenAPIError).Body(), &problem))
	fmt.Printf("%s: %d %s\n", step, answer.StatusCode, problem.Detail)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
