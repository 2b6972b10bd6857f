// The text kernels: what the TypeScript side may call.
export { alloc, release, setLimit } from './memory'
export { scanCsv, scanLines } from './csv'
export { setLowerTable } from './lower'
export { counterNew, counterFree, counterClear } from './table'
export { entriesByPartition, sortByKey, topEntries, writeEntries } from './drain'
export { addWeighted, columnTokens, countTokens, prepare, setSeparator, spansOf } from './tokens'
