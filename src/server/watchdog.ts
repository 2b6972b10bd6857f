// A shell process that outlives this one by a moment: it reads a pipe that this process holds, and when the pipe closes,
// for whatever reason (SIGKILL included), it ends the servers and removes the temporary directories it was told of.
//
// States of the script: it blocks in `read` (no polling, no wake-ups) until the end of the pipe; then it ends each process
// that still has the start time it had when it was announced (so a reused pid is never hit), and removes directories last,
// when nothing writes into them any more. SIGKILL goes to servers whose data are temporary, SIGTERM (a clean save, then
// SIGKILL after ten seconds) to those whose data are kept.
import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

const script = String.raw`
trap '' HUP INT TERM
started() {
  if [ -r "/proc/$1/stat" ]; then
    IFS= read -r stat < "/proc/$1/stat" || return 0
    set -f; set -- ${'$'}{stat##*) }
    [ "$1" = Z ] || echo "${'$'}{20}"
  elif [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1" 2>/dev/null
  fi
}
servers=
directories=
while read -r word pid rest; do
  case $word in
    temporary|kept) servers="$servers $word:$pid:$(started "$pid" | tr ' :' '__')" ;;
    ended) next=; for s in $servers; do case $s in *:"$pid":*) ;; *) next="$next $s" ;; esac; done; servers=$next ;;
    directory) directories="$directories
$pid${'$'}{rest:+ $rest}" ;;
    removed) directories=$(printf '%s\n' "$directories" | grep -vxF "$pid${'$'}{rest:+ $rest}") ;;
  esac
done
alive() { [ "$(started "$1" | tr ' :' '__')" = "$2" ] && kill -0 "$1" 2>/dev/null; }
each() {
  for s in $servers; do
    kind=${'$'}{s%%:*}; s=${'$'}{s#*:}; pid=${'$'}{s%%:*}; start=${'$'}{s#*:}
    [ -n "$start" ] && alive "$pid" "$start" && "$1" "$kind" "$pid"
  done
}
end() { if [ "$1" = kept ]; then kill -TERM "$2"; else kill -KILL "$2"; fi; }
force() { kill -KILL "$2"; }
count() { echo x; }
each end
tries=0
while [ -n "$(each count)" ] && [ $tries -lt 200 ]; do sleep 0.05 2>/dev/null || sleep 1; tries=$((tries + 1)); done
each force
printf '%s\n' "$directories" | while IFS= read -r directory; do
  case $directory in */gearmill-*) rm -rf -- "$directory" || { sleep 1; rm -rf -- "$directory"; } ;; esac
done
`

let pipe: Socket | undefined

/** The pipe to the watchdog of this process, which is started with the first server. */
function watchdog(): Socket {
  if (pipe !== undefined && !pipe.destroyed) return pipe
  // A session of its own: Ctrl-C reaches the whole foreground group, and must not end the one that cleans up.
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' })
  // Without a shell there is no watchdog; servers are then stopped by stop() alone.
  child.on('error', () => {})
  child.unref()
  const input = child.stdin
  input.on('error', () => {})
  // Neither the child nor the pipe keeps this process alive.
  if (input instanceof Socket) {
    input.unref()
    pipe = input
    return input
  }
  pipe = new Socket()
  return pipe
}

/** Announces a server: it dies with this process. `kept` servers may save their data first. */
export function watchServer(pid: number, data: 'temporary' | 'kept'): void {
  watchdog().write(`${data} ${pid}\n`)
}

export function forgetServer(pid: number): void {
  watchdog().write(`ended ${pid}\n`)
}

/** Announces a temporary directory (made with the prefix `gearmill-`): it is removed with this process. */
export function watchDirectory(path: string): void {
  watchdog().write(`directory ${path}\n`)
}

export function forgetDirectory(path: string): void {
  watchdog().write(`removed ${path}\n`)
}
