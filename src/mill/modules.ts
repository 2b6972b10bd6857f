// The modules that executors import by URL. Executors run compiled code, also where their client does not.
import { existsSync } from 'node:fs'
import type { Modules } from '../engine/protocol.ts'

function compiled(path: string): string {
  const here = new URL(`../${path}.js`, import.meta.url)
  return (existsSync(here) ? here : new URL(`../../dist/${path}.js`, import.meta.url)).href
}

export function modules(): Modules {
  return {
    runners: {
      call: compiled('engine/call-runner'),
      pipeline: compiled('pipeline/runner'),
      script: compiled('mill/script/runner'),
      model: compiled('models/runner'),
      matrix: compiled('matrix/runner'),
    },
    known: compiled('mill/executor-mill'),
  }
}
