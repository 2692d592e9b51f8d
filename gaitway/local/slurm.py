"""A real Slurm on this machine: a controller and two nodes, each a slurmd, all on 127.0.0.1 and without systemd.

In place of HyperPod's cluster. It is Slurm itself that queues, starts, requeues and cancels; what it lacks is all that
HyperPod adds: the replacement of nodes, health checks, --auto-resume, containers by Pyxis, several machines.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from gaitway.installation import NotInstalledError
from gaitway.local.runtime import HOST

NODES = ("node0", "node1")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel", "srun")
NODE_CPUS = 4
NODE_MEMORY_MIB = 16_384
"""Of each node, whatever the machine has: jobs that wait for one another would prove nothing more."""
LOST_SECONDS = 10
"""A node that does not answer for this time is down; 300 by default (man slurm.conf, SlurmdTimeout)."""
_CREDENTIAL_SECONDS = 5
"""A requeued job waits until no credential of its earlier attempt is valid: 121 seconds by default."""
_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where daemons are, which is not on every user's PATH."""

_CONFIGURATION = """\
# One machine, two nodes; no systemd, no cgroups, no slurmdbd.
ClusterName=gaitway
SlurmctldHost=localhost({host})
SlurmctldPort={controller_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire={credential_seconds}
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool-%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
Epilog={directory}/epilog.sh
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout={lost_seconds}
SlurmctldTimeout=10
InactiveLimit=0
KillWait=30
JobRequeue=1
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={directory}/state/jobcomp.txt
NodeName={nodes} NodeAddr={host} NodeHostname=localhost Port={node_ports} CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=gaitway Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


_EPILOG = """\
#!/bin/sh
# In place of cgroups, which end all that a job has left on its node: linuxproc loses a process whose parent was killed.
cd /proc || exit 0
for found in $(grep -lzx "SLURM_JOB_ID=$SLURM_JOB_ID" [0-9]*/environ 2>/dev/null); do
    if [ "${{found%/environ}}" != $$ ] && grep -qzx "SLURMD_NODENAME=$SLURMD_NODENAME" "$found" &&
        grep -qzx "SLURM_CONF={configuration}" "$found"; then
        kill -KILL "${{found%/environ}}"
    fi
done 2>/dev/null
# Any other code would drain the node: slurm.schedmd.com/prolog_epilog.html
exit 0
"""


class SlurmStartError(Exception):
    """Slurm did not start; the message holds the end of its logs."""


def why_missing() -> str | None:
    """Say in a sentence why there can be no Slurm here; None if there can."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return (
            f"Slurm is not installed on this machine ({', '.join(missing)} not found): on Debian and Ubuntu, run "
            "`apt-get install slurmctld slurmd slurm-client munge`"
        )
    return None


class SlurmCluster:
    """A cluster of this machine.

    Args:
        directory: Where all its files are. The path of a socket in it must be shorter than 108 bytes (man 7 unix).
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which Slurm's commands find the cluster."""
        return {"SLURM_CONF": str(self.configuration)}

    def start(self, variables: Mapping[str, str]) -> None:
        """Start what does not run, and wait until both nodes are ready.

        Args:
            variables: Further ones of the daemons, and of what the nodes run before a job sets its own.

        Raises:
            NotInstalledError: Slurm is not installed.
            SlurmStartError: It did not start.
        """
        missing = why_missing()
        if missing:
            raise NotInstalledError(missing)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        (self.directory / "state").mkdir(exist_ok=True)
        if not self.configuration.exists():
            self._configure()
        environment = os.environ | self.environment | dict(variables)
        if not self._runs("munged"):
            self._munged(environment)
        if not self._runs("slurmctld"):
            self._daemon("slurmctld", environment)
        for node in NODES:
            if not self._runs(f"slurmd-{node}"):
                self.start_node(node, variables)
        self._wait()

    def start_node(self, node: str, variables: Mapping[str, str]) -> None:
        """Start a node, as when a replaced one has booted."""
        (self.directory / f"spool-{node}").mkdir(exist_ok=True)
        self._daemon("slurmd", os.environ | self.environment | dict(variables), "-N", node)

    def lose_node(self, node: str) -> None:
        """End all processes of a node at once, as when its machine is gone.

        Killing slurmd alone would leave the steps running: each has a process of its own, known by its node's log file.
        """
        log = str(self.directory / f"slurmd-{node}.log")
        doomed: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name().startswith("slurm") and any(file.path == log for file in process.open_files()):
                    doomed += [process, *process.children(recursive=True)]
        for process in doomed:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(doomed, timeout=_STOP_SECONDS)

    def stop(self) -> None:
        """End the daemons, the nodes first; jobs stay in the controller's state."""
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
            process = self._process(name)
            if process is not None:
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGTERM)
                    process.wait(_STOP_SECONDS)

    def command(self, *command: str) -> str:
        """Run one of Slurm's commands."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def _configure(self) -> None:
        with ExitStack() as held:
            # All at once, so that no port is chosen twice.
            sockets = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(len(NODES) + 1)]
            controller, *nodes = (each.getsockname()[1] for each in sockets)
        epilog = self.directory / "epilog.sh"
        epilog.write_text(_EPILOG.format(configuration=self.configuration))
        epilog.chmod(0o755)
        self.configuration.write_text(
            _CONFIGURATION.format(
                host=HOST,
                directory=self.directory,
                controller_port=controller,
                credential_seconds=_CREDENTIAL_SECONDS,
                user=getpass.getuser(),
                lost_seconds=LOST_SECONDS,
                nodes=",".join(NODES),
                node_ports=",".join(map(str, nodes)),
                cpus=NODE_CPUS,
                memory=NODE_MEMORY_MIB,
            )
        )

    def _munged(self, environment: Mapping[str, str]) -> None:
        key = self.directory / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
        files = {"key-file": key, "socket": self.directory / "munge.socket"}
        files |= {"pid-file": self.directory / "munged.pid", "log-file": self.directory / "munged.log"}
        files |= {"seed-file": self.directory / "munge.seed"}
        # Forced: it warns of directories that others may write to, as /tmp is.
        options = [f"--{name}={path}" for name, path in files.items()]
        self._run(["munged", *options, "--num-threads=2", "--force"], environment)

    def _daemon(self, name: str, environment: Mapping[str, str], *options: str) -> None:
        self._run([name, "-f", str(self.configuration), *options], environment)

    def _run(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a daemon, whose command ends when it has gone into the background."""
        program = _program(command[0])
        assert program is not None
        with (self.directory / "start.log").open("ab") as log:
            done = subprocess.run([program, *command[1:]], env=environment, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise SlurmStartError(f"{command[0]} ended with {done.returncode}. {self._last_words()}")

    def _wait(self) -> None:
        give_up_at = time.monotonic() + _READY_SECONDS
        states = ""
        while time.monotonic() < give_up_at:
            with suppress(subprocess.CalledProcessError):
                states = self.command("sinfo", "--noheader", "--Node", "--format=%N %T").strip()
                ready = {line.split()[0] for line in states.splitlines() if not line.endswith(("*", "down", "unknown"))}
                if ready == set(NODES):
                    return
            time.sleep(0.05)
        found = states or "the controller does not answer"
        raise SlurmStartError(f"its nodes are not ready: {found}. {self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self._tails())

    def _tails(self) -> Iterator[str]:
        for log in sorted(self.directory.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-5:]
            if lines:
                yield f"{log}:"
                yield from lines

    def _runs(self, name: str) -> bool:
        return self._process(name) is not None

    def _process(self, name: str) -> psutil.Process | None:
        """Find a daemon by its file; not another process with the same id."""
        try:
            process = psutil.Process(int((self.directory / f"{name}.pid").read_text()))
            return process if process.name() == name.partition("-")[0] else None
        except (OSError, ValueError, psutil.Error):
            return None


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
