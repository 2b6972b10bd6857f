-- Stores an execution: see _submit.lua for keys, arguments, what it returns and its work.
gearmill.register('submit', submit)
