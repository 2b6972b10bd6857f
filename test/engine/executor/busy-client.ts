// A client whose executor is held by user code for ever; tells the executor's pid once it is.
import { setTimeout } from 'node:timers/promises'
import { connect } from '../../../src/index.ts'

const mill = await connect(process.argv[2], { executors: 1, namespace: `busy${process.pid}` })
await mill.submit(async (key: string) => {
  await mill.redis.set(key, 'held')
  for (;;);
}, `busy:${process.pid}`)
while ((await mill.redis.get(`busy:${process.pid}`)) === null) await setTimeout(5)
process.stdout.write(`${mill.executors.pids[0]}\n`)
