"""An Orthanc of its own for a test: on free ports, for this computer alone, its archive in the test's folder."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

DICOM_WEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
"""Of Debian's package orthanc-dicomweb."""
ARCHIVE, TESTER = "ARCHIVE", "TESTER"
"""Application entity titles."""
START_S = 60.0


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: the port on which it speaks DICOM, and the address of its DICOMweb."""

    port: int
    web: str


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start Orthanc, which has ended afterwards.

    Only a caller named `TESTER` on the loopback address may store, find and get.
    """
    port, http_port = _free_ports(2)
    configuration = {
        "Name": "Test",
        "StorageDirectory": str(folder / "archive"),
        "IndexDirectory": str(folder / "archive"),
        "Plugins": [DICOM_WEB_PLUGIN],
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "DicomAet": ARCHIVE,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowStore": False,
        "DicomModalities": {
            "tester": {"AET": TESTER, "Host": "127.0.0.1", "Port": _free_ports(1)[0], "AllowGet": True}
        },
    }
    path, log = folder / "orthanc.json", folder / "orthanc.log"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(process, port, log)
        yield Orthanc(port, f"http://127.0.0.1:{http_port}/dicom-web")
    finally:
        process.terminate()
        process.wait(START_S)


def dicom_call(program: str, port: int, options: Sequence[str], files: Sequence[Path] = ()) -> None:
    """Call a program of dcmtk on the archive; it must succeed."""
    command = [program, "-aet", TESTER, "-aec", ARCHIVE, *options, "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout + done.stderr


def asked_by_web(address: str) -> list[dict]:
    """Return what a query by DICOMweb (QIDO-RS) finds."""
    with urlopen(Request(address, headers={"Accept": "application/dicom+json"})) as answer:
        return json.load(answer)


def fetched_by_web(address: str) -> list[bytes]:
    """Return the files that DICOMweb (WADO-RS) gives, as they are stored."""
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    with urlopen(Request(address, headers={"Accept": accept})) as answer:
        boundary, content = answer.headers.get_param("boundary"), answer.read()
    parts = content.split(b"--" + boundary.encode())[1:-1]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]


def _wait_until_it_answers(process: subprocess.Popen, port: int, log: Path) -> None:
    command = ["echoscu", "-aet", TESTER, "-aec", ARCHIVE, "127.0.0.1", str(port)]
    end = time.monotonic() + START_S
    while subprocess.run(command, capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
