// A shell process that outlives this one by a moment: it reads a pipe that this process holds, and when the pipe closes,
// for whatever reason (SIGKILL included), it ends the processes and removes the temporary directories it was told of.
//
// States of the script: it blocks in `read` (no polling, no wake-ups) until the end of the pipe; then it ends each process
// that still has the start time it had when it was announced (so a reused pid is never hit), and removes directories last,
// when nothing writes into them any more. SIGKILL goes to processes whose data are temporary, SIGTERM (a clean save, then
// SIGKILL after ten seconds) to those whose data are kept. It is there while there is something to watch; on Linux it starts no
// other process until the end.
import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

const script = String.raw`
trap '' HUP INT TERM
set -f
newline='
'
# When process $1 began, in $start; nothing where it has ended.
began() {
  start=
  if [ -r "/proc/$1/stat" ]; then
    IFS= read -r stat < "/proc/$1/stat" || return 0
    set -- ${'$'}{stat##*) }
    [ "$1" = Z ] || start=${'$'}{20}
  elif [ ! -d /proc/self ]; then
    start=$(ps -o lstart= -p "$1" 2>/dev/null | tr ' :' '__')
  fi
}
processes=
directories=
while read -r word subject; do
  case $word in
    temporary|kept) began "$subject"; processes="$processes $word:$subject:$start" ;;
    ended) next=; for p in $processes; do case $p in *:"$subject":*) ;; *) next="$next $p" ;; esac; done; processes=$next ;;
    directory) directories="$directories$subject$newline" ;;
    removed)
      next=; IFS=$newline
      for d in $directories; do [ "$d" = "$subject" ] || next="$next$d$newline"; done
      unset IFS; directories=$next ;;
  esac
done
# Calls $1 with kind and pid of each that runs still; how many they are, in $left.
each() {
  left=0
  for p in $processes; do
    kind=${'$'}{p%%:*}; p=${'$'}{p#*:}; pid=${'$'}{p%%:*}; known=${'$'}{p#*:}
    [ -n "$known" ] || continue
    began "$pid"
    [ "$start" = "$known" ] && kill -0 "$pid" 2>/dev/null || continue
    left=$((left + 1)); "$1" "$kind" "$pid"
  done
}
end() { if [ "$1" = kept ]; then kill -TERM "$2"; else kill -KILL "$2"; fi; }
force() { kill -KILL "$2"; }
each end
tries=0
each :
while [ "$left" -gt 0 ] && [ $tries -lt 200 ]; do
  sleep 0.05 2>/dev/null || sleep 1
  tries=$((tries + 1))
  each :
done
each force
IFS=$newline
for directory in $directories; do
  case $directory in */gearmill-*) rm -rf -- "$directory" || { sleep 1; rm -rf -- "$directory"; } ;; esac
done
`

interface Watchdog {
  readonly pipe: Writable
  /** False where there is no shell. */
  readonly runs: boolean
}

let watchdog: Watchdog | undefined
/** What there is to watch, as it was announced. */
const watched = new Set<string>()

function start(): Watchdog {
  // A session of its own: Ctrl-C reaches the whole foreground group, and must not end the one that cleans up.
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' })
  const started: Watchdog = { pipe: child.stdin, runs: child.pid !== undefined }
  child.on('error', () => {})
  child.on('exit', (_code, signal) => {
    if (watchdog !== started) return
    watchdog = undefined
    // Somebody killed it: another one takes its place.
    if (signal !== null && watched.size > 0) watch()
  })
  started.pipe.on('error', () => {})
  // Neither the child nor the pipe keeps this process alive.
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  return started
}

function watch(): Watchdog {
  if (watchdog !== undefined) return watchdog
  watchdog = start()
  for (const line of watched) watchdog.pipe.write(line)
  return watchdog
}

function announce(line: string): boolean {
  if (watched.has(line)) return watch().runs
  if (watchdog !== undefined) watchdog.pipe.write(line)
  watched.add(line)
  return watch().runs
}

function forget(announced: readonly string[], line: string): void {
  if (!announced.map((each) => watched.delete(each)).includes(true)) return
  watchdog?.pipe.write(line)
  if (watched.size > 0) return
  watchdog?.pipe.end()
  watchdog = undefined
}

/**
 * Announces a process: it dies with this one. One whose data are `kept` may save them first.
 *
 * @returns false where nobody watches: without a shell, processes end by other means
 */
export function watchProcess(pid: number, data: 'temporary' | 'kept'): boolean {
  return announce(`${data} ${pid}\n`)
}

export function forgetProcess(pid: number): void {
  forget([`temporary ${pid}\n`, `kept ${pid}\n`], `ended ${pid}\n`)
}

/** Announces a temporary directory (its name begins with `gearmill-`): it is removed with this process. As watchProcess(). */
export function watchDirectory(path: string): boolean {
  return announce(`directory ${path}\n`)
}

export function forgetDirectory(path: string): void {
  forget([`directory ${path}\n`], `removed ${path}\n`)
}
