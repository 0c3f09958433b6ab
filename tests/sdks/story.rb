# The short story in the calls of openapi-generator's `ruby`.

require "json"
require "uri"
require "openapi_client"

address = URI(ARGV[0])
OpenapiClient.configure do |configuration|
  configuration.scheme = address.scheme
  configuration.host = "#{address.host}:#{address.port}"
  configuration.server_index = nil # else the document's address counts
  configuration.params_encoding = :multi # else the names of lists end in []
end
TODOS = OpenapiClient::TodosApi.new
MANY = OpenapiClient::ManyTodosApi.new
LISTS = OpenapiClient::ListsApi.new

def show(step, found)
  puts "#{step}#{found.map { |each| " ##{each.id}" }.join}"
end

def refused(step)
  yield
  raise "#{step} was not refused"
rescue OpenapiClient::ApiError => error
  problem = OpenapiClient::Problem.build_from_hash(JSON.parse(error.response_body, symbolize_names: true))
  puts "#{step}: #{error.code} #{problem.detail}"
end

milk = { task: "Buy milk", notes: "Two litres", due_on: "2026-12-24", tags: ["shop"] }
[milk, { task: "Walk the dog" }, { task: "Read" }].each do |each|
  puts "created ##{TODOS.create_todo(OpenapiClient::CreateTodoItem.new(each)).id}"
end
show("filtered", TODOS.list_todos(tag: ["shop"], complete: false, created_after: Time.now - 3600))
page, _, headers = TODOS.list_todos_with_http_info(limit: 2)
show("page", page)
page, _, headers = TODOS.list_todos_with_http_info(cursor: headers["X-Next-Cursor"])
show("page", page)
puts "last page: #{headers["X-Next-Cursor"].nil?}"

changed = TODOS.patch_todo(1, OpenapiClient::UpdateTodoItem.new(due_on: nil))
puts "never due: v#{changed.version}, #{changed.notes}, #{changed.due_on.nil?}, #{changed.tags[0]}"
done = OpenapiClient::UpdateTodoItem.new(complete: true)
refused("stale") { TODOS.patch_todo(1, done, if_match: '"1"') }
refused("too many") { MANY.patch_todos(done, complete: false, max_affected: 1) }
refused("wrong") { TODOS.list_todos(due_before: "24/12/2026") }
list_id = LISTS.create_list(OpenapiClient::CreateTodoList.new(name: "Groceries")).id
TODOS.patch_todo(1, OpenapiClient::UpdateTodoItem.new(list_id: list_id))
below = TODOS.create_todo(OpenapiClient::CreateTodoItem.new(task: "Semi-skimmed", parent_id: 1))
puts "subtask: ##{below.id} in list #{below.list_id} below #{below.parent_id}"
refused("not empty") { LISTS.delete_list(list_id) }
water = OpenapiClient::CreateTodoItem.new(task: "Water it")
show("once:", Array.new(2) { TODOS.create_todo(water, idempotency_key: "key-1") })
