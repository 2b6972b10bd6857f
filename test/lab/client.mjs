// A client to be killed: starts a word count, says under which id and with which executors once they have begun, and waits.
import { readFileSync } from 'node:fs'
import { connect } from '../../dist/index.js'

const { url, namespace, workers, how, leaseMs, fault, glob, splitBytes } = JSON.parse(process.argv[2])
const mill = await connect(url, {
  namespace,
  workers,
  executors: 2,
  ...(leaseMs === undefined ? {} : { leaseMs }),
  ...(fault === undefined ? {} : { fault }),
})
const words = mill.files(glob, { format: 'csv', column: 'text', splitBytes }).split(' ')
const sink =
  how === 'words'
    ? words.write((word) => ['ZINCRBY', 'counts', '1', word])
    : words.countBy().toSortedSet('counts', { mode: how })
const execution = await sink.start()
const isStopped = (pid) => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2)[0] === 'T'
}
// With a fault: until an executor has met it.
while (fault !== undefined && !mill.executors.pids.some(isStopped))
  await new Promise((resolve) => setTimeout(resolve, 10))
process.stdout.write(`${JSON.stringify({ id: execution.id, pids: mill.executors.pids })}\n`)
setInterval(() => {}, 1000)
