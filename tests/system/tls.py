"""Certificates for tests: an authority in a folder, and keys signed by it, made by openssl(1)."""
import os

SUBJECT_ALT_NAME = "IP:127.0.0.1,IP:10.255.0.1,DNS:localhost"


class Authority:
    """Makes certificates in a folder of the lab."""

    def __init__(self, lab, name):
        self._lab, self._name = lab, name
        self.ca = self._path("ca.pem")
        self._run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-subj", f"/CN={name}", "-keyout", self._path("ca.key"), "-out", self.ca])

    def _path(self, file):
        return os.path.join(self._lab.dir, f"{self._name}-{file}")

    def _run(self, argv):
        self._lab.execute(argv)

    def issue(self, name, *names):
        """{"private_key", "certificate", "ca_certificate"} as the daemons' configurations have it. names: more of subjectAltName."""
        key, request, certificate, extensions = (self._path(f"{name}.{end}") for end in ("key", "csr", "pem", "ext"))
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={','.join((SUBJECT_ALT_NAME, *names))}\n")
        self._run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                   "-keyout", key, "-out", request])
        self._run(["openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                   "-days", "2", "-extfile", extensions, "-out", certificate])
        return {"private_key": key, "certificate": certificate, "ca_certificate": self.ca}
