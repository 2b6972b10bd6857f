// Runs vitest in the foreground and counts its tests from the report it writes.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { at, foreground } from './paths.mjs'

/**
 * Resolves to the exit code and the counts. A file that cannot be loaded, or a run that fails without a failed test,
 * counts as one failure.
 */
export async function vitest(args) {
  const report = at(`.cache/vitest-${process.pid}.json`)
  await mkdir(at('.cache'), { recursive: true })
  try {
    const code = await foreground([
      at('node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...args,
    ])
    const counts = await countsOf(report)
    // An error outside of any test, or no test at all: something failed.
    const failed = code === 0 ? counts.failed : Math.max(1, counts.failed)
    return { ...counts, failed, code: failed > 0 ? Math.max(1, code) : 0 }
  } finally {
    await rm(report, { force: true })
  }
}

async function countsOf(path) {
  let report
  try {
    report = JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

export function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
