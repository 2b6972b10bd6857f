// The thread of the sandbox: runs steps one after the other, each in the cell of its kernel. It may be ended at any moment; steps
// leave nothing behind, so those that had not answered run again elsewhere.
import { parentPort, workerData } from 'node:worker_threads'
import { Cell } from './cell.ts'
import { RunningMark, type CellPlan, type Job, type JobResult, type Jobs } from './protocol.ts'

const mostCells = 64
/** For all cells together, beyond what they start with. */
const mostGrownBytes = 192 * 1024 * 1024
const mostPlans = 500
/** Answers wait this long for others to travel with. */
const flushMs = 1

const running = new RunningMark(workerData as SharedArrayBuffer)
const cells = new Map<number, Cell>()
const plans = new Map<number, CellPlan>()
const waiting: Job[] = []
let results: (number | JobResult)[] = []
let isBusy = false

parentPort?.on('message', ({ plans: more, jobs }: Jobs) => {
  for (const [cell, plan] of more) keep(plans, cell, plan, mostPlans)
  for (let i = 0; i < jobs.length; i += 3) {
    waiting.push({ id: jobs[i] as number, cell: jobs[i + 1] as number, request: jobs[i + 2] as string })
  }
  if (!isBusy) void work()
})

async function work(): Promise<void> {
  isBusy = true
  let flushedAt = performance.now()
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
    const result = runJob(job)
    // Most cells are there already; waiting would cost as much as a small step.
    results.push(job.id, result instanceof Promise ? await result : result)
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

function runJob(job: Job): JobResult | Promise<JobResult> {
  const cell = cells.get(job.cell)
  return cell ? runIn(cell, job) : runInNew(job)
}

async function runInNew(job: Job): Promise<JobResult> {
  const plan = plans.get(job.cell)
  if (!plan) return { missing: true }
  keep(plans, job.cell, plan, mostPlans)
  running.set(job.id, true)
  const made = await Cell.create(plan, () => running.set(job.id))
  return made instanceof Cell ? runIn(made, job) : { trap: made, loading: true }
}

function runIn(cell: Cell, job: Job): JobResult {
  running.set(job.id)
  const result = cell.run(job.request)
  if (cell.isSpent) cells.delete(job.cell)
  else {
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

function keep<T>(map: Map<number, T>, key: number, item: T, most: number): void {
  map.delete(key)
  map.set(key, item)
  for (const oldest of map.keys()) {
    if (map.size <= most) break
    map.delete(oldest)
  }
}
