// The first half of the demo: words of files, counted exactly once into a sorted set, while one executor is killed in the middle.
import type { Mill } from '../../mill.ts'
import type { Pipeline } from '../../pipeline/pipeline.ts'
import { startProgress } from '../progress.ts'
import type { Cli } from '../cli.ts'

export interface WordCountReport {
  readonly records: number
  readonly distinct: number
  readonly words: number
  readonly top: readonly { readonly word: string; readonly count: number }[]
  readonly seconds: number
  /** Pid of the executor that was killed; undefined where the work was done before. */
  readonly killed: number | undefined
  /** Tasks that were run again because their executor died. */
  readonly recovered: number
}

/** An executor is killed when this share of the first stage is done. */
const killAfter = 0.25

/** Counts `text` into the sorted set `key` and reports what is in it. */
export async function countWords(cli: Cli, mill: Mill, text: Pipeline<string>, key: string): Promise<WordCountReport> {
  const started = performance.now()
  const execution = await text.words().countBy().toSortedSet(key).start({ signal: cli.signal })
  const progress = startProgress(cli.stderr, { label: 'word count', unit: 'records' })
  let killed: number | undefined
  for await (const { stages } of execution.progress()) {
    const [first] = stages
    if (!first) continue
    const estimate = first.done === 0 ? undefined : Math.round((first.in * first.tasks) / first.done)
    progress.update(first.in, estimate)
    if (killed === undefined && first.done >= first.tasks * killAfter && first.done < first.tasks) {
      killed = killOne(mill)
      if (killed !== undefined) progress.line(`killed executor ${killed} (SIGKILL) in the middle of its task`)
    }
  }
  progress.end()
  const { written } = await execution.result().then(([result]) => result ?? { written: 0 })
  const { stages, retries } = await execution.status()
  return {
    records: stages[0]?.in ?? 0,
    distinct: written,
    words: await sumOfScores(mill, key),
    top: await top(mill, key, 10),
    seconds: (performance.now() - started) / 1000,
    killed,
    recovered: retries,
  }
}

function killOne(mill: Mill): number | undefined {
  const [pid] = mill.executors.busy
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  return pid
}

async function top(mill: Mill, key: string, count: number): Promise<{ word: string; count: number }[]> {
  const members = await mill.redis.zRangeWithScores(key, 0, count - 1, { REV: true })
  return members.map(({ value, score }) => ({ word: value, count: score }))
}

async function sumOfScores(mill: Mill, key: string): Promise<number> {
  let sum = 0
  for (let cursor = '0'; ;) {
    const page = await mill.redis.zScan(key, cursor, { COUNT: 1000 })
    for (const { score } of page.members) sum += score
    cursor = page.cursor
    if (cursor === '0') return sum
  }
}
