"""Every generated page says what its source says now; `python -m docs._ext.generate` makes them anew."""

from __future__ import annotations

from pathlib import Path

from docs._ext import conformance, coverage_table, generate

ROOT = Path(__file__).resolve().parents[3]


def test_pages_are_current():
    made = generate.pages()
    behind = [
        str(path.relative_to(ROOT)) for path, text in made.items() if not path.exists() or path.read_text() != text
    ]
    assert behind == [], "run: python -m docs._ext.generate"
    assert len(made) > 3


def package(tmp_path, docstring):
    (tmp_path / "netsuite" / "mail").mkdir(parents=True)
    (tmp_path / "netsuite" / "mail" / "wire.py").write_text(f'"""{docstring}"""\n')
    return coverage_table.claims(tmp_path)


def test_claims_name_document_and_sections(tmp_path):
    claims = package(tmp_path, "Lines.\n\nImplements: RFC 5321 sections 2.3, 4;\nRFC 3207; the\npostcard protocol.\n")
    assert claims == [
        ("mail", "netsuite.mail.wire", "RFC 5321", "2.3, 4"),
        ("mail", "netsuite.mail.wire", "RFC 3207", ""),
        ("mail", "netsuite.mail.wire", "the postcard protocol", ""),
    ]


def test_a_module_without_the_line_claims_nothing(tmp_path):
    assert package(tmp_path, "Implements much, but not by the line.") == []


def test_conformance_takes_the_first_paragraph(tmp_path):
    (tmp_path / "tests" / "vectors").mkdir(parents=True)
    (tmp_path / "tests" / "vectors" / "test_cases.py").write_text('"""Cases from\nelsewhere.\n\nMore."""\n')
    assert "| `vectors/test_cases.py` | Cases from elsewhere. |" in conformance.page(tmp_path)
