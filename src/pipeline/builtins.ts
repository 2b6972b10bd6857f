// Every reader, operation and sink that each worker has: programs name these, all others are shipped.
import type { Definition } from './define.ts'
import { accumulate } from './operations/accumulate.ts'
import { collect } from './operations/collect.ts'
import { countBy } from './operations/count-by.ts'
import { count } from './operations/count.ts'
import { distinct } from './operations/distinct.ts'
import { max, min } from './operations/extreme.ts'
import { filter } from './operations/filter.ts'
import { flatMap } from './operations/flat-map.ts'
import { forEach } from './operations/for-each.ts'
import { aggregateBy, batchGroupBy, groupBy } from './operations/group-by.ts'
import { gatheredByKey, gatheredInOne } from './operations/gathered.ts'
import { joinBeside } from './operations/join-beside.ts'
import { join } from './operations/join.ts'
import { limit } from './operations/limit.ts'
import { localGroupBy } from './operations/local-group-by.ts'
import { lower } from './operations/lower.ts'
import { map } from './operations/map.ts'
import { avg, sum } from './operations/numbers.ts'
import { aggregate, reduce } from './operations/reduce.ts'
import { predict } from './operations/predict.ts'
import { repartition } from './operations/repartition.ts'
import { sort, sortBy } from './operations/sort.ts'
import { split } from './operations/split.ts'
import { topK } from './operations/top-k.ts'
import { window } from './operations/window.ts'
import { words } from './operations/words.ts'
import { keyEvents, schedule } from './readers/events.ts'
import { files } from './readers/files.ts'
import { from } from './readers/from.ts'
import { generate } from './readers/generate.ts'
import { keys } from './readers/keys.ts'
import { shards } from './readers/shards.ts'
import { stream } from './readers/stream.ts'
import { toFile } from './sinks/file/file.ts'
import { addToHash, replaceHash } from './sinks/hash.ts'
import { toKeys } from './sinks/keys.ts'
import { addToSortedSet, replaceSortedSet } from './sinks/sorted-set.ts'
import { toStream } from './sinks/stream.ts'
import { write } from './sinks/write.ts'

const all: readonly Definition[] = [
  files,
  from,
  generate,
  keys,
  shards,
  stream,
  schedule,
  keyEvents,
  map,
  flatMap,
  filter,
  forEach,
  window,
  predict,
  accumulate,
  localGroupBy,
  split,
  words,
  lower,
  limit,
  join,
  joinBeside,
  collect,
  repartition,
  countBy,
  count,
  sum,
  avg,
  min,
  max,
  distinct,
  groupBy,
  aggregateBy,
  batchGroupBy,
  aggregate,
  reduce,
  sort,
  sortBy,
  topK,
  write,
  addToSortedSet,
  replaceSortedSet,
  addToHash,
  replaceHash,
  gatheredByKey,
  gatheredInOne,
  toStream,
  toKeys,
  toFile,
]

export const builtins: ReadonlyMap<string, Definition> = new Map(all.map((definition) => [definition.name, definition]))
