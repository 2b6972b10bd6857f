-- What the functions of triggers share.

-- How the names of triggers are written within keys: what belongs to `a` is told from a trigger called `a:in`.
function gearmill.in_keys(name)
  return (string.gsub(name, ':', '::'))
end

-- Scores from 0 on are those of windows; below lie times at which events are to be put into windows again.
function gearmill.before_windows(at)
  return string.format('%.0f', at - 1e15)
end
