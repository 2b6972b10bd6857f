-- What kernels are now. Not in a cluster, where their keys are elsewhere.
-- Keys: lane. Args: names.
-- Returns the SHA-1 of each, '' where there is none. Work: the names given.
local function kernel_tags(keys, args)
  local namespace, tags = chain_namespace(keys[1]), {}
  for i = 1, #args do
    tags[i] = kernel_tag(namespace, args[i])
  end
  return tags
end

gearmill.register('kernel_tags', kernel_tags)
