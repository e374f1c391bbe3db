"""Plain files: opening them, writing them whole or not at all, naming them in messages."""

from vicl.files.plain import TEMPORARY_PREFIX as TEMPORARY_PREFIX
from vicl.files.plain import FileError as FileError
from vicl.files.plain import check_writable as check_writable
from vicl.files.plain import display as display
from vicl.files.plain import hash_file as hash_file
from vicl.files.plain import is_no_room as is_no_room
from vicl.files.plain import open_atomic as open_atomic
from vicl.files.plain import open_plain as open_plain
from vicl.files.plain import reason as reason
from vicl.files.plain import remove_leftovers as remove_leftovers
from vicl.files.plain import write_atomic as write_atomic
