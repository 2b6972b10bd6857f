// write(f): the commands that f gives for a record are applied once, when the task commits.
import type { Command } from '../../engine/runner.ts'
import { PlanError } from '../../errors.ts'
import { type Step, defineSink } from '../define.ts'
import { brief } from '../shown.ts'

/** One command, several, or nothing, as a list of commands. */
function commandsOf(result: unknown): readonly Command[] {
  if (result === null || result === undefined) return []
  if (!Array.isArray(result)) throw refusal(result)
  if (result.length === 0) return []
  const list: readonly unknown[] = Array.isArray(result[0]) ? result : [result]
  return list.map((command) => {
    if (!Array.isArray(command) || typeof command[0] !== 'string' || !command.every(isArgument)) throw refusal(command)
    return command as unknown as Command
  })
}

function isArgument(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || value instanceof Uint8Array
}

function refusal(got: unknown): PlanError {
  const expected = "['HSET', key, field, value], a list of such commands, or null"
  return new PlanError('PLAN_RECORD', `write(f): expected f to return ${expected}, got ${brief(got)}`)
}

export const write = defineSink({
  name: 'write',
  describe: () => 'write(f)',
  commands: () => ['those of f'],
  steps: (_options: unknown, functions: readonly unknown[]): Step[] => [
    { shape: 'map', call: functions[0] as Step['call'] },
  ],
  effects: (_options, record) => commandsOf(record),
})
