// A runner for tests of the engine alone. Its program is JSON: how many records a task has, what each asks for, and which of
// them misbehave how.
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeRecords, encodeRecords } from '../../dist/codec/frames.js'

const misbehave = {
  exit: () => process.exit(7),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => {
    for (;;);
  },
  grow: () => {
    const kept = []
    for (;;) kept.push(Buffer.alloc(16 * 1024 * 1024, kept.length))
  },
  throw: () => {
    throw new RangeError('out of luck')
  },
}

export default async function runner(program) {
  const plan = JSON.parse(new TextDecoder().decode(program.bytes))
  return {
    async run(context) {
      const stage = plan.stages[context.stage]
      if (stage.kind === 'numbers') await numbers(stage, context)
      else await sums(stage, context)
    },
  }
}

async function numbers(stage, context) {
  const outputs = Array.from({ length: stage.partitions ?? 0 }, () => [])
  const first = context.task * stage.records
  for (let index = 0; index < stage.records;) {
    if (context.signal.aborted) return
    const count = context.guard(index, Math.min(stage.batch ?? 10, stage.records - index))
    for (let i = index; i < index + count; i++) {
      const number = first + i
      const how = stage.bad?.[number]
      if (how === 'fail') {
        context.fail({ code: 'EXECUTION_RECORD', message: `record ${number}`, record: number })
        continue
      }
      if (how !== undefined) misbehave[how]()
      if (stage.effects) {
        await context.effect(
          i,
          stage.effects.map((command) => command.map((part) => part.replace('%', String(number)))),
        )
      }
      if (outputs.length > 0) outputs[number % outputs.length].push(number)
    }
    if (stage.sleepMs) await sleep(stage.sleepMs)
    context.count({ in: count })
    index += Math.max(1, count)
  }
  for (const [partition, records] of outputs.entries()) {
    await context.output(partition).append(encodeRecords(records))
    context.count({ out: records.length })
  }
}

async function sums(stage, context) {
  if (context.guard(0, 1) === 0) return
  let sum = 0
  for (let task = 0; task < context.tasksOf(stage.from); task++) {
    for await (const frame of context.input(stage.from, task, context.task)) {
      for (const number of decodeRecords(frame)) sum += number
    }
  }
  await context.output(0).append(encodeRecords([sum]))
  context.count({ in: 1, out: 1 })
}
