"""What a list can be asked: filters, sorting, pages and changes of many, all derived from the table class."""
