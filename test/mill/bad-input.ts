// What the tests of bad input share: errors taken apart, and the lines of a test that a stack leads to.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { ExecutionError, GearmillError, type ErrorCode } from '../../src/errors.ts'
import { raw } from '../fixtures/servers.ts'
import type { PrivateServer } from '../../src/server/standalone.ts'

/** The coded error that a promise rejects with; a hint and a message are never missing. */
export async function expectRefusal(promise: Promise<unknown>, code: ErrorCode): Promise<GearmillError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(GearmillError)
  const refused = error as GearmillError
  expect(`${refused.code}: ${refused.message}`).toMatch(new RegExp(`^${code}: .`))
  expect(refused.hint.length).toBeGreaterThan(10)
  return refused
}

/** The same, of an execution. */
export async function expectFailure<T = unknown>(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<ExecutionError<T>> {
  const error = await expectRefusal(promise, code)
  expect(error).toBeInstanceOf(ExecutionError)
  return error as ExecutionError<T>
}

/** The texts of the lines of a test file that are in an error's stack, the innermost first. */
export function linesIn(error: Error, file: string): string[] {
  const path = fileURLToPath(file)
  const lines = readFileSync(path, 'utf8').split('\n')
  const found = (error.stack ?? '').split(`${path}:`).slice(1)
  return found.map((rest) => lines[Number.parseInt(rest, 10) - 1] ?? '')
}

/** Expects that the stack leads to a line of the test with that text: where the user built the pipeline. */
export function expectCaller(error: Error | undefined, file: string, text: string): void {
  expect(linesIn(error as Error, file)).toContainEqual(expect.stringContaining(text))
}

/** Expects that no key is under the namespace, on any server. */
export async function expectNothingLeft(servers: readonly PrivateServer[], namespace: string): Promise<void> {
  const replies = await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*`)))
  expect(replies.flat()).toEqual([])
}
