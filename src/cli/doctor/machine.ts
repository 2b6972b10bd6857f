// What the doctor looks at on this machine: Node, a server program for local(), the configuration.
import { availableParallelism } from 'node:os'
import type { LoadedConfig } from '../../config.ts'
import { GearmillError } from '../../errors.ts'
import { blasVariable, chooseBlas } from '../../native/blas/blas.ts'
import { runtimeVersion } from '../../native/onnx/runtime.ts'
import { redactUrl } from '../../redis/url.ts'
import { findServer } from '../../server/binary.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

export async function examineMachine(loaded: LoadedConfig, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  return [node(), await serverProgram(env), multiplication(env), onnxruntime(), ...configuration(loaded)]
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const enough = major > 20 || (major === 20 && minor >= 19)
  return enough
    ? ok('node', `${process.version}, ${availableParallelism()} cores`)
    : fail('node', process.version, 'Gearmill needs Node 20.19 or newer.')
}

/** Products of matrices are right in any case, and much faster with a library. */
function multiplication(env: NodeJS.ProcessEnv): Finding {
  try {
    const { description } = chooseBlas(env[blasVariable])
    return ok('matrices', description)
  } catch (error) {
    if (!(error instanceof GearmillError)) throw error
    return fail('matrices', error.message, `Unset ${blasVariable}, or name a library that is there.`)
  }
}

/** Only models need it, and they say so where it is missing. */
function onnxruntime(): Finding {
  const version = runtimeVersion()
  return ok('onnxruntime', version ?? 'not installed; to run models: npm install onnxruntime-node')
}

async function serverProgram(env: NodeJS.ProcessEnv): Promise<Finding> {
  try {
    const { path, name, version } = await findServer(env)
    return ok('server program', `${path} (${name} ${version.join('.')})`)
  } catch (error) {
    if (!(error instanceof GearmillError)) throw error
    return warn('server program', error.message, `Only local() needs one. ${error.hint}`)
  }
}

function configuration({ config, origins }: LoadedConfig): Finding[] {
  const from = (path: string): string => origins[path] ?? 'default'
  const findings = [
    ok('url', `${redactUrl(config.url)} (${from('url')})`),
    ok('namespace', `${config.namespace} (${from('namespace')})`),
    ok('executors', `${config.executors} (${from('executors')})`),
  ]
  if (config.executors > 2 * availableParallelism()) {
    const advice = 'Executors beyond the number of cores wait for each other: lower `executors`.'
    findings[2] = warn('executors', `${config.executors} (${from('executors')})`, advice)
  }
  if (config.secret === undefined && !isThisMachine(config.url)) {
    const advice =
      'Who can write to this server can run code in its workers: set GEARMILL_SECRET for clients and workers.'
    findings.push(warn('secret', 'GEARMILL_SECRET is not set', advice))
  }
  return findings
}

function isThisMachine(url: string): boolean {
  return /^redis\+unix:|^rediss?:\/\/([^@/]*@)?(localhost|127\.|\[::1\])/i.test(url)
}
