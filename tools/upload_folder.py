"""Upload all pictures of a folder to the API: `python tools/upload_folder.py URL FOLDER`.

The same command as `python -m clients.upload_folder`, for those who know it by this name.
"""

import sys
from pathlib import Path

# Python puts only the folder of this file into the path.
sys.path.insert(0, str(Path(__file__).parent.parent))

from clients.upload_folder.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
