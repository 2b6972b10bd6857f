-- How the names of triggers are written within keys: what belongs to `a` is told from a trigger called `a:in`.
function gearmill.in_keys(name)
  return (string.gsub(name, ':', '::'))
end
