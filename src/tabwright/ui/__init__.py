"""The web interface: ``tabwright ui``. Pages are under ``pages``; everything else here is free of NiceGUI."""
