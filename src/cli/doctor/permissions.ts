// Whether the user may send the commands that Gearmill needs: each is sent once, in a form that changes nothing.
import { ConnectError } from '../../errors.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { textOf } from '../../redis/replies.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const group = 'doctor'

/** On a key that nothing else uses. Errors other than a refusal (there is no such group) are what is expected. */
const probes = (key: string): readonly (readonly Argument[])[] => [
  ['TYPE', key],
  ['EXISTS', key],
  ['GET', key],
  ['SET', key, '1', 'PX', 1],
  ['UNLINK', key],
  ['HGETALL', key],
  ['HDEL', key, 'field'],
  ['SMEMBERS', key],
  ['ZRANGE', key, 0, 0],
  ['ZREM', key, 'member'],
  ['LRANGE', key, 0, 0],
  ['XADD', key, 'NOMKSTREAM', '*', 'field', 'value'],
  ['XREAD', 'STREAMS', key, '0'],
  ['XREADGROUP', 'GROUP', group, group, 'STREAMS', key, '>'],
  ['XPENDING', key, group],
  ['XCLAIM', key, group, group, 0, '0-0'],
  ['XACK', key, group, '0-0'],
  ['XDEL', key, '0-0'],
  ['PEXPIRE', key, 1],
  ['SCAN', 0, 'COUNT', 1],
]

export async function examinePermissions(deployment: Deployment, namespace: string): Promise<Finding[]> {
  const key = `${namespace}:{gm0}:doctor`
  const refused: string[] = []
  for (const probe of probes(key)) {
    if (await isRefused(deployment, key, probe)) refused.push(String(probe[0]))
  }
  const [user, tap] = [await whoAmI(deployment, key), await mayTap(deployment, key)]
  const findings = [
    refused.length === 0
      ? ok('permissions', `${user} may do what Gearmill needs`)
      : fail(
          'permissions',
          `${user} may not: ${refused.join(', ')}`,
          `ACL SETUSER ${user} ~${namespace}:* ${refused.map((name) => `+${name.toLowerCase()}`).join(' ')}`,
        ),
  ]
  if (tap === false) {
    const advice = `Key triggers fall back to notifications, which may be lost: ACL SETUSER ${user} +psync +replconf +ping`
    findings.push(warn('replication', `${user} may not PSYNC`, advice))
  }
  return findings
}

async function isRefused(deployment: Deployment, key: string, probe: readonly Argument[]): Promise<boolean> {
  try {
    await deployment.command(key, probe)
    return false
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error
    if (error.code === 'CONNECT_REPLY') return false
    if (error.code === 'CONNECT_PERMISSION') return true
    throw error
  }
}

async function whoAmI(deployment: Deployment, key: string): Promise<string> {
  try {
    return textOf(await deployment.command(key, ['ACL', 'WHOAMI']))
  } catch (error) {
    if (error instanceof ConnectError) return 'the user'
    throw error
  }
}

/** Undefined where the server does not tell. */
async function mayTap(deployment: Deployment, key: string): Promise<boolean | undefined> {
  try {
    const user = await whoAmI(deployment, key)
    return textOf(await deployment.command(key, ['ACL', 'DRYRUN', user, 'PSYNC', '?', '-1'])) === 'OK'
  } catch (error) {
    if (error instanceof ConnectError) return undefined
    throw error
  }
}
