// The thread of the sandbox: runs steps one after the other, each in the cell of its kernel. It may be ended at any moment; steps
// leave nothing behind, so those that had not answered run again elsewhere.
import { parentPort, workerData } from 'node:worker_threads'
import { Cell } from './cell.ts'
import { RunningMark, type CellProgram, type Job, type JobResult } from './protocol.ts'

const mostCells = 64
/** For all cells together, beyond what they start with. */
const mostGrownBytes = 192 * 1024 * 1024
const mostPrograms = 500
/** Answers wait this long for others to travel with. */
const flushMs = 1

const running = new RunningMark(workerData as SharedArrayBuffer)
const cells = new Map<string, Cell>()
const programs = new Map<string, CellProgram>()
const waiting: Job[] = []
let results: JobResult[] = []
let isBusy = false

parentPort?.on('message', (jobs: readonly Job[]) => {
  waiting.push(...jobs)
  if (!isBusy) void work()
})

async function work(): Promise<void> {
  isBusy = true
  let flushedAt = performance.now()
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
    results.push(await runJob(job))
    running.set(0)
    if (performance.now() - flushedAt > flushMs) {
      flush()
      flushedAt = performance.now()
    }
  }
  flush()
  isBusy = false
}

function flush(): void {
  if (results.length === 0) return
  parentPort?.postMessage(results)
  results = []
}

async function runJob(job: Job): Promise<JobResult> {
  if (job.program) keep(programs, job.cell, job.program, mostPrograms)
  let cell = cells.get(job.cell)
  cells.delete(job.cell)
  if (!cell) {
    const program = job.program ?? programs.get(job.cell)
    if (!program) return { id: job.id, missing: true }
    running.set(job.id, true)
    const made = await Cell.create({ ...job, program }, () => running.set(job.id))
    if (!(made instanceof Cell)) return { id: job.id, trap: made, loading: true }
    cell = made
  }
  running.set(job.id)
  const result = cell.run(job)
  if (!cell.isSpent) {
    keep(cells, job.cell, cell, mostCells)
    if (cell.grownBytes > 0) dropLarge()
  }
  return result
}

function dropLarge(): void {
  let grown = 0
  for (const cell of cells.values()) grown += cell.grownBytes
  for (const [key, cell] of cells) {
    if (grown <= mostGrownBytes) break
    grown -= cell.grownBytes
    cells.delete(key)
  }
}

function keep<T>(map: Map<string, T>, key: string, item: T, most: number): void {
  map.delete(key)
  map.set(key, item)
  for (const oldest of map.keys()) {
    if (map.size <= most) break
    map.delete(oldest)
  }
}
