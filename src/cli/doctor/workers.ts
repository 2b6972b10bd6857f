// Whether workers of a group are alive: they announce themselves in every lane.
import { laneKeys } from '../../engine/keys.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { laneTags } from '../../redis/lanes.ts'
import { itemsOf, numberOf, textMapOf, textOf } from '../../redis/replies.ts'
import { counted } from '../cli.ts'
import { ok, warn, type Finding } from './finding.ts'

export async function examineWorkers(deployment: Deployment, namespace: string, group: string): Promise<Finding> {
  const executors = new Map<string, number>()
  const runtimes = new Set<string>()
  for (const tag of laneTags(deployment, deployment.topology)) {
    const { live } = laneKeys(namespace, tag, group)
    // The server's clock: the scores are its own.
    const [seconds, micros] = itemsOf(await deployment.command(live, ['TIME']))
    const now = numberOf(seconds) * 1000 + Math.floor(numberOf(micros) / 1000)
    const workers = itemsOf(await deployment.command(live, ['ZRANGE', live, now, '+inf', 'BYSCORE']))
    const about = textMapOf(await deployment.command(live, ['HGETALL', `${live}:info`]))
    const counts = textMapOf(await deployment.command(live, ['HGETALL', `${live}:n`]))
    for (const worker of workers.map(textOf)) {
      executors.set(worker, Number(counts.get(worker) ?? 0))
      if ('onnxruntime' in (JSON.parse(about.get(worker) ?? '{}') as object)) runtimes.add(worker)
    }
  }
  if (executors.size === 0) {
    const advice = "`gearmill worker` starts one; a script that runs with workers: 'local' (the default) needs none."
    return warn('workers', `none of the group '${group}' is alive`, advice)
  }
  const sum = [...executors.values()].reduce((total, count) => total + count, 0)
  const models = `models run on ${runtimes.size === executors.size ? 'all' : runtimes.size === 0 ? 'none' : String(runtimes.size)} of them`
  return ok('workers', `${executors.size} of the group '${group}' with ${counted(sum, 'executor')}; ${models}`)
}
