// What a run leaves behind when it was written is garbage, as large as the budget. V8 lets that pile up to several times what
// is alive before it looks: with a memory limit, that would be the end of the process.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { RunContext } from '../define.ts'

let collect: (() => void) | undefined

/** Collects garbage where the process uses more than this share of its memory limit. */
export function relieve({ task }: RunContext, share = 0.5): void {
  const { memoryMb } = task
  if (memoryMb === undefined || process.memoryUsage.rss() < share * memoryMb * 1024 * 1024) return
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
  }
  collect()
}
